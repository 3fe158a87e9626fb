// SPDX-License-Identifier: PostgreSQL
// A program of the user's own that prints a token: a command and the connection that wants one come in; what it
// printed, if that can be a password, goes out.

#include <algorithm>
#include <charconv>

#include "base/shown.h"
#include "base/words.h"
#include "net/child.h"
#include "net/source.h"

namespace pqmint {
namespace {

std::string_view without_line_end(std::string_view text) {
  if (text.ends_with('\n')) text.remove_suffix(1);
  if (text.ends_with('\r')) text.remove_suffix(1);
  return text;
}

bool is_printable(char c) {
  return c >= ' ' && c <= '~';
}

/// Why `token` can be none, without a byte of it; empty if it can.
std::string fault_of(std::string_view token, size_t printed) {
  const std::string size = std::to_string(printed) + (printed == 1 ? " byte" : " bytes");
  if (token.empty()) return printed == 0 ? "printed nothing" : "printed an empty line";
  if (token.size() > kMostPassword) {
    return "printed " + size + ", and a token has " + std::to_string(kMostPassword) + " at most, or no server takes it";
  }
  if (token.find_first_of("\r\n") != token.npos) {
    return "printed " + size + " in several lines, and a token is one line with nothing else beside it";
  }
  if (!std::ranges::all_of(token, is_printable)) {
    return "printed " + size + ", some of which are no printable ASCII characters, as those of a token are";
  }
  if (token.front() == ' ' || token.back() == ' ') return "printed a token with a blank at its beginning or end";
  if (token.starts_with("pqmint:")) return "printed a token spec, which only says how to get a token";
  return "";
}

/// Whole seconds that core has looked at already; 0 if the setting is not there.
int64_t seconds_in(std::string_view text) {
  int64_t seconds = 0;
  std::from_chars(text.data(), text.data() + text.size(), seconds);
  return seconds;
}

}  // namespace

Result<Fetched> fetch_command(const Query& query) {
  const Settings& settings = query.settings;
  const auto words = split_command(settings["command"]);
  if (!words) return Error{"command= in the token spec: " + words.error().text};
  const auto variable = [&](const char* name, const char* setting) {
    return std::string(name).append("=").append(settings[setting]);
  };
  const int64_t timeout = seconds_in(settings["timeout"]);
  const ChildOutcome child = run_child(
      *words,
      {variable("PQMINT_HOST", "host"), variable("PQMINT_PORT", "port"), variable("PQMINT_USER", "user"),
       variable("PQMINT_DATABASE", "database")},
      Folder::kHosts, timeout > 0 ? query.deadline.no_later_than(std::chrono::seconds(timeout)) : query.deadline);
  // Arguments may hold secrets; the program's name does not.
  const auto bad = [&](const std::string& what) {
    return Error{"no token from the command " + shown(words->front(), 80) + ": it " + what};
  };
  if (child.fault == ChildOutcome::Fault::kTimeout) {
    return bad(child.description() + "; run it by hand to see why, or allow it more with " +
               (timeout > 0 ? "timeout= in the token spec, or " : "") + "connect_timeout");
  }
  if (!child.succeeded()) return bad(child.description_for(*words));
  const std::string_view printed = child.output.reveal();
  const std::string_view token = without_line_end(printed);
  if (const std::string fault = fault_of(token, printed.size()); !fault.empty()) {
    return bad(fault + "; run it by hand to see its output");
  }
  Fetched found;
  found.token = Secret(token);
  // The life that the user gave it begins when it is there: nobody knows when it was made.
  const int64_t lifetime = seconds_in(settings["lifetime"]);
  if (lifetime > 0) found.expires = query.clock.now() + lifetime;
  return found;
}

}  // namespace pqmint
