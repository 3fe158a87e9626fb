// SPDX-License-Identifier: PostgreSQL
// Commands. What stands outside of quotes and means something to a shell is an error; words quoted anew read the same.

#include "base/words.h"
#include "promise.h"

namespace pqmint::fuzz {
namespace {

/// Whether a shell would see more than words: told by its own walk over the quotes, apart from split_command()'s.
bool needs_a_shell(std::string_view command) {
  enum { kBare, kSingle, kDouble } state = kBare;
  for (size_t i = 0; i < command.size(); ++i) {
    const char c = command[i];
    switch (state) {
      case kBare:
        if (c == '\'') state = kSingle;
        if (c == '"') state = kDouble;
        if (c == '\\') ++i;
        if (std::string_view("|&;<>()$`").find(c) != std::string_view::npos) return true;
        break;
      case kSingle:
        if (c == '\'') state = kBare;
        break;
      case kDouble:
        if (c == '"') state = kBare;
        if (c == '\\') ++i;
        break;
    }
  }
  return state != kBare;
}

}  // namespace

void command(std::string_view input) {
  const auto words = split_command(input);
  if (!words) {
    PROMISE(!words.error().text.empty() && words.error().text.size() < 400, words.error().text);
    return;
  }
  PROMISE(!needs_a_shell(input), input);
  PROMISE(!words->empty(), input);
  size_t size = 0;
  std::string quoted;
  for (const std::string& word : *words) {
    size += word.size();
    quoted += "'";
    for (const char c : word) quoted.append(c == '\'' ? "'\\''" : std::string(1, c));
    quoted += "' ";
  }
  PROMISE(size <= input.size(), input);
  const auto again = split_command(quoted);
  PROMISE(again && *again == *words, quoted);
}

}  // namespace pqmint::fuzz
