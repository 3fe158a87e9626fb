// SPDX-License-Identifier: PostgreSQL
// core's side of the seam: a pqmint_request comes in, an answer that owns all it shows goes out.

#include "pqmint/abi.h"

#include <time.h>

#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "core/explain.h"
#include "core/grant.h"
#include "core/policy.h"

namespace pqmint {
namespace {

/// What libpqmint.so sees as a pqmint_answer, with the strings behind it.
struct Answer : pqmint_answer {
  std::vector<Grant> owned;
  std::vector<pqmint_grant> shown;
  TlsPlan tls;
  std::string why;
  std::string user;
  std::string explanation;
};

const char* or_null(const std::string& text) {
  return text.empty() ? nullptr : text.c_str();
}

pqmint_grant show(const Grant& grant) {
  pqmint_grant out = {};
  if (!grant.managed) return out;
  out.managed = 1;
  out.token = grant.error.empty() ? grant.token.c_str() : nullptr;
  out.token_expires = grant.token_expires;
  out.host = grant.host.c_str();
  out.hostaddrs = or_null(grant.hostaddrs);
  out.provider = grant.service == Service::kNone ? nullptr : name_of(grant.service);
  out.kind = grant.is_explicit ? "explicit" : grant.service == Service::kNone ? nullptr : name_of(grant.kind);
  out.endpoint = or_null(grant.endpoint);
  out.region = or_null(grant.region);
  out.region_source = grant.region_source;
  out.credential_source = or_null(grant.credential_source);
  out.credential_name = or_null(grant.credential_name);
  out.identity = or_null(grant.identity);
  out.credential_expires = grant.credential_expires;
  out.error = or_null(grant.error);
  return out;
}

std::string_view view(const char* text) {
  return text ? text : "";
}

// The first reason stands: a host that cannot be minted for matters more than how its connection would be encrypted.
void refuse(Answer& answer, std::string why) {
  if (answer.why.empty()) answer.why = std::move(why);
}

// One connection has one set of TLS settings, whatever its hosts are.
void plan_tls_for_all(const pqmint_request& request, Answer& answer) {
  TlsWish wish;
  wish.sslmode = view(request.sslmode);
  wish.sslrootcert = view(request.sslrootcert);
  wish.libpq_version = request.libpq_version;
  std::optional<TlsWish::Authority> authority;
  for (const Grant& grant : answer.owned) {
    if (!grant.managed) continue;
    const auto own = authority_of(grant.service, grant.kind);
    if (authority && *authority != own && wish.sslrootcert.empty() && wish.sslmode != "require") {
      return refuse(
          answer,
          "the hosts of this connection have certificates of different authorities; name a file that holds both "
          "with sslrootcert=");
    }
    authority = own;
    if (wish.region.empty()) wish.region = grant.region;
  }
  if (!authority) return;
  wish.authority = *authority;
  auto plan = plan_tls(wish);
  if (plan) {
    answer.tls = std::move(*plan);
  } else {
    answer.tls.sslmode = raised_sslmode(wish.sslmode);  // `pqmint check` shows how far the plan came
    refuse(answer, plan.error().text);
  }
}

const pqmint_answer* mint(const pqmint_request* request) try {
  // One reading of the clock: the date in a token's scope and its time must be of the same instant.
  const int64_t now = time(nullptr);
  auto answer = std::make_unique<Answer>();
  answer->user = view(request->user);
  for (size_t i = 0; i < request->host_count; ++i) {
    answer->owned.push_back(grant_for(*request, request->hosts[i], now));
  }
  for (const Grant& grant : answer->owned) {
    answer->shown.push_back(show(grant));
    if (answer->why.empty()) answer->why = grant.error;
  }
  plan_tls_for_all(*request, *answer);
  answer->error = or_null(answer->why);
  answer->sslmode = answer->tls.sslmode ? answer->tls.sslmode->c_str() : nullptr;
  answer->sslrootcert = answer->tls.sslrootcert ? answer->tls.sslrootcert->c_str() : nullptr;
  answer->grants = answer->shown.data();
  answer->grant_count = answer->shown.size();
  return answer.release();
} catch (...) {
  // Memory ran out. Nothing may be thrown into a program that knows nothing of us.
  return nullptr;
}

void release(const pqmint_answer* answer) {
  delete static_cast<const Answer*>(answer);
}

const char* explain(const pqmint_answer* answer, size_t grant) try {
  // What was given out as const is an Answer that mint() made with new, and still belongs to its caller.
  auto* whole = const_cast<Answer*>(static_cast<const Answer*>(answer));
  whole->explanation = explain_refusal(whole->owned.at(grant), whole->user);
  return whole->explanation.c_str();
} catch (...) {
  return nullptr;
}

}  // namespace
}  // namespace pqmint

extern "C" __attribute__((visibility("default"))) const pqmint_core_module* pqmint_core() {
  static constexpr pqmint_core_module kTable = {PQMINT_ABI_VERSION, pqmint::mint, pqmint::release, pqmint::explain};
  return &kTable;
}
