// SPDX-License-Identifier: PostgreSQL
// A host and what the user said of it come in; what to sign, for whom, and the token go out.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "base/endpoint.h"
#include "base/secret.h"
#include "core/aws_chain.h"
#include "core/credential_store.h"
#include "pqmint/abi.h"

namespace pqmint {

/// What became of one host. Filled as far as it came: a host whose credentials were not found is classified all the
/// same.
struct Grant {
  bool managed = false;
  Secret token;
  int64_t token_expires = 0;                               // seconds since the epoch; 0: not known
  std::chrono::steady_clock::time_point token_since = {};  // when it was made, or fetched
  std::string host;                                        // what libpq must verify TLS against
  std::string hostaddrs;  // where to dial instead of resolving `host`; empty: resolve it
  Service service = Service::kNone;
  HostKind kind = HostKind::kNone;
  bool is_explicit = false;  // a token spec asked for it on a name that says nothing
  std::string endpoint;
  std::string region;
  const char* region_source = nullptr;
  std::string credential_source;
  std::string credential_name;
  std::string identity;
  int64_t credential_expires = 0;
  std::string user;                                  // the one that libpq must log in as; empty: the user's own stands
  std::shared_ptr<const CredentialPlan> remembered;  // the credentials came from memory, where this plan has put them
  std::chrono::steady_clock::time_point remembered_since = {};
  Trail credential_trail;
  std::string error;

  std::string note;  // the name is RDS's, and the address this machine's own: a tunnel, and how to say so
};

/// Mints for one host of `request`. Blocks only where credentials must be fetched, and no longer than `patience` says.
/// Thread-safe.
Grant grant_for(const pqmint_request& request, const pqmint_host& host, const Patience& patience);

}  // namespace pqmint
