// SPDX-License-Identifier: PostgreSQL
// The part of the road that a connection and an inquiry share: a call comes in, what libpq and pqmint make of it before
// core is asked goes out.
#pragma once

#include "preload/call.h"
#include "preload/claim.h"
#include "preload/libpq.h"
#include "preload/target.h"

namespace pqmint {

enum class Errand {
  kConnect,  // libpq is called next
  kCheck,    // nobody calls libpq: what it would refuse must be found out here, and its warnings are not wanted
  kToken,    // the same; hosts that are recognised are minted for whatever password there is
};

enum class Outlook {
  kStopped,    // libpq itself refuses the call: target.refusal() has its words; or memory is out, and they are null
  kLeftAlone,  // libpq would be called as if pqmint were not there
  kOurs,       // for tokens, or for a password that libpq may not send: a spec that says `off`, a token that strays
};

/// Resolves the call into `target`, decides into `claims`, and completes the target for whoever will need it.
Outlook prepare(const Libpq& libpq, const Call& call, Errand errand, Target& target, Claims& claims);

}  // namespace pqmint
