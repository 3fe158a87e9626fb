// SPDX-License-Identifier: PostgreSQL
// The log's fields. Whatever a value holds, a line stays one line, and who takes it apart finds each value in its own
// field, whole but for its control characters; a line that is too long is cut at its end.
//
// Input: values, parted by NUL.

#include "base/log.h"

#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <fstream>
#include <iterator>

#include "promise.h"

namespace pqmint::fuzz {
namespace {

constexpr const char* kKeys[] = {"host", "text", "path", "result"};
constexpr size_t kLongestLine = 2048;

/// Takes one field off `rest`, by its own walk: ` key=value` or ` key="value"` with backslashes.
std::pair<std::string, std::string> take_field(std::string_view& rest) {
  PROMISE(rest.starts_with(' '), rest);
  rest.remove_prefix(1);
  const size_t equals = rest.find('=');
  PROMISE(equals != rest.npos, rest);
  const std::string key(rest.substr(0, equals));
  rest.remove_prefix(equals + 1);
  std::string value;
  if (!rest.starts_with('"')) {
    value = rest.substr(0, rest.find(' '));
    rest.remove_prefix(value.size());
    PROMISE(value.find_first_of("\"=\\") == value.npos, value);
    return {key, value};
  }
  for (rest.remove_prefix(1); !rest.starts_with('"'); rest.remove_prefix(1)) {
    if (rest.starts_with('\\')) rest.remove_prefix(1);
    PROMISE(!rest.empty(), key);
    value += rest.front();
  }
  rest.remove_prefix(1);
  return {key, value};
}

/// The length of the character that `text` begins with, by its code point; 0 if its bytes are none.
size_t character(std::string_view text, uint32_t& point) {
  const auto lead = static_cast<unsigned char>(text.front());
  const size_t length = lead < 0x80 ? 1 : lead < 0xc0 ? 0 : lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : lead < 0xf8 ? 4 : 0;
  if (length == 0 || text.size() < length) return 0;
  point = length == 1 ? lead : lead & (0x7fu >> length);
  for (size_t i = 1; i < length; ++i) {
    const auto byte = static_cast<unsigned char>(text[i]);
    if ((byte & 0xc0) != 0x80) return 0;
    point = point << 6 | (byte & 0x3f);
  }
  constexpr uint32_t kLeast[] = {0, 0, 0x80, 0x800, 0x10000};
  const bool is_surrogate = point >= 0xd800 && point < 0xe000;
  return point < kLeast[length] || point > 0x10ffff || is_surrogate ? 0 : length;
}

/// Control characters of ASCII and of ISO 6429's second set, and bytes that a terminal may take for these, became "?".
std::string tamed(std::string_view text) {
  std::string out;
  while (!text.empty()) {
    uint32_t point = static_cast<unsigned char>(text.front());
    const size_t length = std::max<size_t>(character(text, point), 1);
    if (length == 1) point = static_cast<unsigned char>(text.front());
    const bool is_control = point < 0x20 || (point >= 0x7f && point < 0xa0);
    out += is_control ? "?" : text.substr(0, length);
    text.remove_prefix(length);
  }
  return out;
}

}  // namespace

void log(std::string_view input) {
  static const std::string path = folder() + "/log";
  unlink(path.c_str());
  setenv("PQMINT_LOG", "debug", 1);
  setenv("PQMINT_LOG_FILE", path.c_str(), 1);
  std::vector<std::string> values;
  for (const std::string_view value : split(input, std::string_view("\0", 1))) values.emplace_back(value);
  values.resize(std::min(values.size(), std::size(kKeys)));
  size_t most = 128;
  {
    LogLine line(LogLevel::kDebug, "fuzzed");
    for (size_t i = 0; i < values.size(); ++i) {
      line.with(kKeys[i], values[i].c_str());
      most += 2 * values[i].size() + 16;
    }
  }
  unsetenv("PQMINT_LOG");
  std::ifstream stream(path, std::ios::binary);
  const std::string text((std::istreambuf_iterator<char>(stream)), {});
  struct stat info;
  PROMISE(stat(path.c_str(), &info) == 0 && (info.st_mode & 0777) == 0600, path);
  PROMISE(text.size() <= kLongestLine && text.ends_with('\n') && text.find('\n') == text.size() - 1, text);
  for (const char c : text) PROMISE(c == '\n' || (static_cast<unsigned char>(c) >= ' ' && c != '\x7f'), text);
  if (most > kLongestLine) return;  // it may be cut

  std::string_view rest(text);
  rest.remove_suffix(1);
  rest.remove_prefix(std::min(rest.find(" level="), rest.size()));
  PROMISE(take_field(rest) == std::pair(std::string("level"), std::string("debug")), text);
  PROMISE(take_field(rest) == std::pair(std::string("event"), std::string("fuzzed")), text);
  for (size_t i = 0; i < values.size(); ++i) {
    if (values[i].empty()) continue;
    PROMISE(take_field(rest) == std::pair(std::string(kKeys[i]), tamed(values[i])), text);
  }
  PROMISE(rest.empty(), text);
}

}  // namespace pqmint::fuzz
