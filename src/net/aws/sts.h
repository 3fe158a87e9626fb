// SPDX-License-Identifier: PostgreSQL
// STS, as far as its two ways to assume a role have it in common: a form comes in, keys go out, or STS's own error as a
// sentence.
#pragma once

#include <string>
#include <string_view>

#include "base/result.h"
#include "net/http.h"
#include "net/source.h"

namespace pqmint {

/// The body of a request: fields in HTML form encoding, added one by one.
class StsForm {
 public:
  /// "AssumeRole" or "AssumeRoleWithWebIdentity".
  explicit StsForm(std::string_view action);
  /// Leaves out what has no value.
  StsForm& add(std::string_view name, std::string_view value);
  /// The role and the session's name: the setting's as it stands, which STS judges, or "pqmint-" and the seconds since
  /// the epoch, as botocore's is "botocore-session-" and they: always within STS's [\w+=,.@-]{2,64}.
  StsForm& add_role(const Query& query);
  const Secret& text() const { return text_; }
  const std::string& action() const { return action_; }

 private:
  std::string action_;
  Secret text_;
};

/// The request as it is sent at `now` (seconds since the epoch), signed with `signer` if there is one.
Result<HttpRequest> sts_request(const StsForm& form, const Query& query, int64_t now);

/// Sends it, and again while that may help; reads the answer. `proof` is the secret that the request carries (a session
/// token or a web identity token): an error that repeats it is shown without it.
Result<Fetched> ask_sts(const StsForm& form, const Query& query, std::string_view proof);

/// The keys in an answer, whatever the order of its elements, and nothing from outside its Credentials; an error if it
/// is none. `now` is the servers' time. Takes time in proportion to the answer's size.
Result<Fetched> parse_sts_answer(std::string_view xml, std::string_view action, int64_t now);

}  // namespace pqmint
