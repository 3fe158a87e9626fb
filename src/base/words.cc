// SPDX-License-Identifier: PostgreSQL
// A command as people write it comes in; its words go out.

#include "base/words.h"

#include <algorithm>

namespace pqmint {
namespace {

/// "NAME=...", whose value may be a secret that must not be taken for a program's name and shown.
bool is_assignment(std::string_view word) {
  const std::string_view name = word.substr(0, word.find('='));
  const auto is_letter = [](char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_'; };
  return name.size() < word.size() && !name.empty() && is_letter(name.front()) &&
         std::ranges::all_of(name, [&](char c) { return is_letter(c) || (c >= '0' && c <= '9'); });
}

}  // namespace

Result<std::vector<std::string>> split_command(std::string_view command) {
  std::vector<std::string> words;
  std::string word;
  bool in_word = false;
  const auto only_a_shell = [](char c) {
    return Error{
        "the character " + std::string(1, c) +
        " means something to a shell, and no shell is asked; put it in quotes, or write sh -c '...' around the "
        "command"};
  };
  for (size_t at = 0; at < command.size(); ++at) {
    const char c = command[at];
    // In a file a command may go on in the next line.
    if (c == ' ' || c == '\t' || c == '\n' || c == '\r') {
      if (in_word) words.push_back(std::move(word));
      word.clear();
      in_word = false;
      continue;
    }
    const bool begins = !in_word;
    in_word = true;
    if (c == '\'') {
      const size_t end = command.find('\'', at + 1);
      if (end == command.npos) return Error{"a single quote is never closed"};
      word += command.substr(at + 1, end - at - 1);
      at = end;
    } else if (c == '"') {
      for (++at; at < command.size() && command[at] != '"'; ++at) {
        constexpr std::string_view kEscaped = "$`\"\\";
        const bool escape =
            command[at] == '\\' && at + 1 < command.size() && kEscaped.find(command[at + 1]) != kEscaped.npos;
        if (escape) ++at;
        word += command[at];
      }
      if (at == command.size()) return Error{"a double quote is never closed"};
    } else if (c == '\\') {
      if (at + 1 == command.size()) return Error{"a backslash stands at the end"};
      word += command[++at];
    } else {
      constexpr std::string_view kShell = "|&;<>()$`";
      if (kShell.find(c) != kShell.npos || (begins && (c == '~' || c == '#'))) return only_a_shell(c);
      word += c;
    }
  }
  if (in_word) words.push_back(std::move(word));
  if (words.empty() || words.front().empty()) return Error{"the command is empty"};
  if (is_assignment(words.front())) {
    return Error{"it begins with a variable, which only a shell could set; write sh -c '...' around the command"};
  }
  return words;
}

}  // namespace pqmint
