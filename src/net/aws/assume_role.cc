// SPDX-License-Identifier: PostgreSQL
// AssumeRole: a role and somebody's keys come in, the role's temporary keys go out.

#include <algorithm>

#include "net/aws/sts.h"

namespace pqmint {

Result<Fetched> fetch_assume_role(const Query& query) {
  StsForm form("AssumeRole");
  form.add_role(query).add("ExternalId", query.settings["external_id"]);
  // botocore passes over what is no whole number, and STS then takes its own default of an hour.
  const std::string_view duration = query.settings["duration_seconds"];
  if (std::ranges::all_of(duration, [](char c) { return c >= '0' && c <= '9'; })) form.add("DurationSeconds", duration);
  const char* const token = query.signer->session_token;
  return ask_sts(form, query, token != nullptr ? token : "");
}

}  // namespace pqmint
