// SPDX-License-Identifier: PostgreSQL
// Azure Arc's agent gives a token to those who may read its key files: its challenge comes in, the key goes out.
#pragma once

#include "base/result.h"
#include "base/secret.h"
#include "net/http.h"
#include "net/source.h"

namespace pqmint {

/// The content of the file that a 401 of the agent names; it is what "Authorization: Basic " wants, as it is. A file
/// anywhere else than among the agent's keys is not even opened: whoever answers on the agent's port could ask for
/// any. Setting: arc_key_directory. Source: spec/azure.md 2.10.
Result<Secret> arc_key(const HttpResponse& challenge, const Settings& settings);

}  // namespace pqmint
