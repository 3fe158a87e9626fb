// SPDX-License-Identifier: PostgreSQL
// The network of the fuzzers: there is none. Whoever asks for a socket finds a scripted answer, or ends the process.
#pragma once

#include <string>
#include <vector>

#include "net/child.h"

namespace pqmint::fuzz {

/// While it lives, each connection gets the next answer, whole and then closed; those after the last get nothing. Where
/// none lives, no socket may be asked for.
class Answers {
 public:
  explicit Answers(std::vector<std::string> answers);
  ~Answers();
  /// What the connections have been sent until now.
  std::string heard() const;
  Answers(const Answers&) = delete;
  Answers& operator=(const Answers&) = delete;
};

/// While it lives, programs that are run print this, say that to stderr, and end so.
class ChildPrints {
 public:
  explicit ChildPrints(std::string output, int status = 0, std::string complaint = "");
  ~ChildPrints();
  ChildPrints(const ChildPrints&) = delete;
  ChildPrints& operator=(const ChildPrints&) = delete;
  ChildOutcome outcome();
  int runs() const { return runs_; }

 private:
  const std::string output_;
  const int status_;
  const std::string complaint_;
  int runs_ = 0;
};

}  // namespace pqmint::fuzz
