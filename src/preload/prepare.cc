// SPDX-License-Identifier: PostgreSQL
// resolve, claim, complete: in this order, for the program's own call and for the command's.

#include "preload/prepare.h"

namespace pqmint {

Outlook prepare(const Libpq& libpq, const Call& call, Errand errand, Target& target, Claims& claims) {
  if (!target.resolve(libpq, call) || !claims.decide(libpq, target)) return Outlook::kStopped;
  if (errand == Errand::kToken) claims.insist(target);
  const bool ours = claims.any() || claims.strays() || claims.password_must_go() || claims.password_file_must_go();
  // libpq looks at the rest by itself, when it is called.
  if (!ours && errand == Errand::kConnect) return Outlook::kLeftAlone;
  if (!target.complete(libpq, call, errand == Errand::kConnect)) return Outlook::kStopped;
  if (claims.may_be_entra(target)) target.look_for_names(libpq, call);
  return ours ? Outlook::kOurs : Outlook::kLeftAlone;
}

}  // namespace pqmint
