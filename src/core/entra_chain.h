// SPDX-License-Identifier: PostgreSQL
// The order in which a Microsoft Entra token is asked for: environment, a host and what a token spec says come in; the
// plans to try, one after another, go out.
//
// The order is DefaultAzureCredential's. An identity that is configured and fails stops the chain: what comes after it
// may be a developer's own login, and the server would refuse that with a puzzle (spec/azure.md 2.3 [R]).
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/endpoint.h"
#include "base/result.h"
#include "core/aws_chain.h"
#include "core/credential.h"

namespace pqmint {

/// What a token spec may say about the identity. Empty: nothing.
struct EntraWish {
  std::string client_id;  // else AZURE_CLIENT_ID
  std::string tenant_id;  // else AZURE_TENANT_ID
  std::string scope;      // else by the host's cloud
};

/// Plans whose sources are asked in this order until one is not absent. `host` is the server's name in lower case,
/// `kind` what was recognised in it. `trail` gets a line for each source that is not set up. Thread-safe.
Result<std::vector<CredentialPlan>> plan_entra(const EntraWish& wish, std::string_view host, HostKind kind,
                                               Trail& trail);

/// A login by a person at a terminal, instead of the chain. Without tenant and client: any organisation, and the Azure
/// CLI's own public client.
Result<CredentialPlan> plan_device_code(const EntraWish& wish, std::string_view host, HostKind kind);

/// What to say when all of them were absent: every source with its reason.
Error no_entra_token(const Trail& trail);

}  // namespace pqmint
