// SPDX-License-Identifier: PostgreSQL
// The network of the fuzzers: there is none. Whoever asks for a socket finds a scripted answer, or ends the process.
#pragma once

#include <string>
#include <vector>

namespace pqmint::fuzz {

/// While it lives, each connection gets the next answer, whole and then closed; those after the last get nothing. Where
/// none lives, no socket may be asked for.
class Answers {
 public:
  explicit Answers(std::vector<std::string> answers);
  ~Answers();
  Answers(const Answers&) = delete;
  Answers& operator=(const Answers&) = delete;
};

/// What programs that are run print, while it lives.
class ChildPrints {
 public:
  explicit ChildPrints(std::string output);
  ~ChildPrints();
  ChildPrints(const ChildPrints&) = delete;
  ChildPrints& operator=(const ChildPrints&) = delete;
};

}  // namespace pqmint::fuzz
