// SPDX-License-Identifier: PostgreSQL
#include "net/aws/xml.h"

#include <algorithm>
#include <charconv>
#include <utility>
#include <vector>

namespace pqmint {
namespace {

void append(Secret& out, char character) {
  out.append({&character, 1});
}

/// A character by its number, in UTF-8; false for one that there is not.
bool append_character(Secret& out, unsigned long code) {
  const bool surrogate = code >= 0xD800 && code <= 0xDFFF;
  if (code == 0 || code > 0x10FFFF || surrogate) return false;
  const int more = code < 0x80 ? 0 : code < 0x800 ? 1 : code < 0x10000 ? 2 : 3;
  constexpr unsigned long kLeads[] = {0, 0xC0, 0xE0, 0xF0};
  append(out, static_cast<char>(kLeads[more] | (code >> (6 * more))));
  for (int i = more - 1; i >= 0; --i) append(out, static_cast<char>(0x80 | ((code >> (6 * i)) & 0x3F)));
  return true;
}

/// What stands between & and ;.
bool append_entity(Secret& out, std::string_view entity) {
  constexpr std::pair<std::string_view, char> kNamed[] = {
      {"amp", '&'}, {"lt", '<'}, {"gt", '>'}, {"quot", '"'}, {"apos", '\''}};
  for (const auto& [name, character] : kNamed) {
    if (entity == name) return append(out, character), true;
  }
  if (!entity.starts_with('#')) return false;
  entity.remove_prefix(1);
  const bool hex = entity.starts_with('x');
  if (hex) entity.remove_prefix(1);
  unsigned long code = 0;
  const char* const end = entity.data() + entity.size();
  const auto [stop, failure] = std::from_chars(entity.data(), end, code, hex ? 16 : 10);
  return failure == std::errc{} && stop == end && append_character(out, code);
}

/// What is no entity stands for itself.
void append_unescaped(Secret& out, std::string_view text) {
  constexpr size_t kLongestReference = 10;  // "&#x10FFFF;"
  while (!text.empty()) {
    const size_t end = text[0] == '&' ? text.substr(0, kLongestReference).find(';') : text.npos;
    const bool is_entity = end != text.npos && append_entity(out, text.substr(1, end - 1));
    if (!is_entity) append(out, text[0]);
    text.remove_prefix(is_entity ? end + 1 : 1);
  }
}

struct Piece {
  enum class Kind : uint8_t { kText, kCdata, kOpening, kClosing, kEmpty, kPassedOver, kBroken };
  Kind kind;
  std::string_view text;  // of a tag: the element's name with its prefix
};

/// Where the first tag has its '>': a value in quotes may hold one too.
size_t end_of_tag(std::string_view xml) {
  char quote = 0;
  for (size_t at = 1; at < xml.size() && xml[at] != '<'; ++at) {
    if (quote != 0) {
      if (xml[at] == quote) quote = 0;
    } else if (xml[at] == '"' || xml[at] == '\'') {
      quote = xml[at];
    } else if (xml[at] == '>') {
      return at;
    }
  }
  return xml.npos;
}

/// Takes the first piece off `xml`, which is not empty. A document type is broken XML here: nobody needs its entities.
Piece next_piece(std::string_view& xml) {
  using Kind = Piece::Kind;
  constexpr struct {
    std::string_view begin, end;
    Kind kind;
  } kMarks[] = {
      {"<!--", "-->", Kind::kPassedOver}, {"<?", "?>", Kind::kPassedOver}, {"<![CDATA[", "]]>", Kind::kCdata}};
  const auto take = [&](size_t size) {
    const std::string_view taken = xml.substr(0, size);
    xml.remove_prefix(taken.size());
    return taken;
  };
  if (xml[0] != '<') return {Kind::kText, take(xml.find('<'))};
  for (const auto& mark : kMarks) {
    if (!xml.starts_with(mark.begin)) continue;
    const size_t end = xml.find(mark.end, mark.begin.size());
    if (end == xml.npos) return {Kind::kBroken, {}};
    return {mark.kind, take(end + mark.end.size()).substr(mark.begin.size(), end - mark.begin.size())};
  }
  const size_t end = end_of_tag(xml);
  if (end == xml.npos || xml[1] == '!') return {Kind::kBroken, {}};
  std::string_view tag = take(end + 1).substr(1, end - 1);
  const bool closes = tag.starts_with('/');
  const bool is_empty = tag.ends_with('/');
  if (closes) tag.remove_prefix(1);
  tag = tag.substr(0, tag.find_first_of(" \t\r\n/"));
  return {tag.empty() ? Kind::kBroken : closes ? Kind::kClosing : is_empty ? Kind::kEmpty : Kind::kOpening, tag};
}

}  // namespace

bool read_xml_children(std::string_view xml, std::string_view parent, std::span<XmlChild> children) {
  using Kind = Piece::Kind;
  constexpr size_t kMaxDepth = 32;
  std::vector<std::string_view> open;
  size_t parent_depth = 0;  // 0: not in it
  bool is_found = false, is_over = false;
  XmlChild* current = nullptr;
  while (!xml.empty()) {
    const auto [kind, text] = next_piece(xml);
    const bool is_wanted = current != nullptr && open.size() == parent_depth + 1;
    if (kind == Kind::kBroken) return false;
    // One element is all that a document is.
    const bool is_beside = open.empty() && (kind == Kind::kCdata || (kind == Kind::kText && !trim(text).empty()));
    const bool is_second = open.empty() && is_over && (kind == Kind::kOpening || kind == Kind::kEmpty);
    if (is_beside || is_second) return false;
    if (is_wanted && kind == Kind::kText) append_unescaped(current->text, text);
    if (is_wanted && kind == Kind::kCdata) current->text.append(text);
    if (kind == Kind::kOpening || kind == Kind::kEmpty) {
      if (open.size() == kMaxDepth) return false;
      open.push_back(text);
      const std::string_view local = text.substr(text.find(':') + 1);
      if (!is_found && local == parent) {
        is_found = true;
        parent_depth = open.size();
      } else if (parent_depth != 0 && open.size() == parent_depth + 1) {
        const auto child = std::ranges::find(children, local, &XmlChild::name);
        current = child == children.end() ? nullptr : &*child;
        if (current != nullptr && std::exchange(current->is_there, true)) return false;
      }
    }
    if (kind == Kind::kClosing && (open.empty() || open.back() != text)) return false;
    if (kind == Kind::kClosing || kind == Kind::kEmpty) {
      if (open.size() == parent_depth + 1) current = nullptr;
      if (open.size() == parent_depth) parent_depth = 0;
      open.pop_back();
      is_over = open.empty();
    }
  }
  return is_found && open.empty();
}

}  // namespace pqmint
