// SPDX-License-Identifier: PostgreSQL
// What a fuzzer is: a function that takes bytes of anybody's and holds the code to its promises about them. A promise
// that is broken ends the process.
#pragma once

#include <stdio.h>
#include <stdlib.h>

#include <algorithm>
#include <string>
#include <string_view>
#include <vector>

namespace pqmint::fuzz {

// One for each parser, in the file of its name. The bytes of an input are text, so that a corpus can be read and
// written by people; how each is laid out stands in its file.
void spec(std::string_view input);
void host(std::string_view input);
void aws_files(std::string_view input);
void url(std::string_view input);
void documents(std::string_view input);
void sts(std::string_view input);
void http(std::string_view input);
void conninfo(std::string_view input);
void instant(std::string_view input);
void command(std::string_view input);
void jwt(std::string_view input);
void slot(std::string_view input);
void log(std::string_view input);
void message(std::string_view input);
void program(std::string_view input);
void dpop(std::string_view input);
void certificate(std::string_view input);
void session(std::string_view input);

/// To be called once, first: no environment of the machine's, a home of our own.
void prepare();

/// A folder of this process's own, in memory where there is such a place.
const std::string& folder();

[[noreturn]] inline void broken(const char* promise, const char* file, int line, std::string_view about) {
  fprintf(stderr, "%s:%d: a promise is broken: %s\n  about: %.*s\n", file, line, promise,
          static_cast<int>(std::min<size_t>(about.size(), 2000)), about.data());
  abort();
}

#define PROMISE(condition, about) \
  if (!(condition)) ::pqmint::fuzz::broken(#condition, __FILE__, __LINE__, about)

inline bool has(std::string_view text, std::string_view part) {
  return text.find(part) != text.npos;
}

inline std::vector<std::string_view> split(std::string_view text, std::string_view separator) {
  std::vector<std::string_view> parts;
  for (;;) {
    const size_t end = text.find(separator);
    parts.push_back(text.substr(0, end));
    if (end == text.npos) return parts;
    text.remove_prefix(end + separator.size());
  }
}

/// What every error text of ours is: one line, of a length that fits a terminal.
inline void promise_sentence(std::string_view text) {
  PROMISE(!text.empty() && text.size() < 4096, text);
  for (const char c : text) PROMISE(static_cast<unsigned char>(c) >= ' ' && c != '\x7f', text);
}

}  // namespace pqmint::fuzz
