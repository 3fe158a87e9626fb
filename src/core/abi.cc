// SPDX-License-Identifier: PostgreSQL
// core's side of the seam: a pqmint_request comes in, an answer that owns all it shows goes out.

#include "pqmint/abi.h"

#include <openssl/crypto.h>
#include <pthread.h>

#include <algorithm>
#include <chrono>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/libpq_integer.h"
#include "base/log.h"
#include "core/clock.h"
#include "core/explain.h"
#include "core/grant.h"
#include "core/policy.h"

namespace pqmint {
namespace {

/// What libpqmint.so sees as a pqmint_answer, with the strings behind it.
struct Answer : pqmint_answer {
  std::vector<Grant> owned;
  std::vector<std::string> trails;
  std::vector<pqmint_grant> shown;
  TlsPlan tls;
  std::string why;
  std::string login;           // the user that the server hears of
  std::string user_for_libpq;  // the same, if it is not the user's own setting
  std::string explanation;
};

const char* or_null(const std::string& text) {
  return text.empty() ? nullptr : text.c_str();
}

// A line for each source.
std::string lines(const Trail& trail) {
  std::string out;
  for (const auto& [source, why] : trail) out.append(out.empty() ? "" : "\n").append(source).append(": ").append(why);
  return out;
}

pqmint_grant show(const Grant& grant, const std::string& trail) {
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
  out.credential_trail = or_null(trail);
  out.skew_known = known_skew().has_value();
  out.skew = known_skew().value_or(0);
  out.note = or_null(grant.note);
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

// One connection has one user, whatever its hosts are.
void settle_user(Answer& answer) {
  for (const Grant& grant : answer.owned) {
    if (grant.user.empty()) continue;
    if (answer.user_for_libpq.empty()) answer.user_for_libpq = grant.user;
    const bool differs = std::ranges::any_of(
        answer.owned, [&](const Grant& other) { return other.managed && other.user != answer.user_for_libpq; });
    if (differs) return refuse(answer, "the hosts of this connection lead to different users; name one with user=");
  }
}

// One connection has one set of TLS settings, whatever its hosts are.
void plan_tls_for_all(const pqmint_request& request, Answer& answer) {
  TlsWish wish;
  wish.sslmode = view(request.sslmode);
  wish.sslrootcert = view(request.sslrootcert);
  wish.gssencmode = view(request.gssencmode);
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

// What a connection may wait for its credentials.
std::chrono::seconds time_limit(const pqmint_request& request) {
  if (request.at_terminal) return std::chrono::minutes(15);  // a device code's own life
  constexpr int kUsual = 30;
  // A program that allows itself ten minutes does not mean that a credential may take as long.
  constexpr int kLongest = 60;
  // libpq takes 1 for 2, and zero or less for "for ever".
  constexpr int kShortest = 2;
  int seconds = 0;
  if (request.connect_timeout) libpq_integer(request.connect_timeout, seconds);
  return std::chrono::seconds(seconds <= 0 ? kUsual : std::clamp(seconds, kShortest, kLongest));
}

// What was decided for one host, and why; never what was made.
void log(const Grant& grant, const TlsPlan& tls) {
  for (const auto& [source, why] : grant.credential_trail) {
    LogLine(LogLevel::kDebug, "source").with("name", source.c_str()).with("text", why.c_str());
  }
  LogLine(LogLevel::kInfo, "mint")
      .with("host", grant.host.c_str())
      .with("provider", grant.service == Service::kNone ? "" : name_of(grant.service))
      .with("kind", grant.is_explicit ? "explicit" : name_of(grant.kind))
      .with("endpoint", grant.endpoint.c_str())
      .with("region", grant.region.c_str())
      .with("region_source", grant.region_source)
      .with("credential_source", grant.credential_source.c_str())
      .with("credential_name", grant.credential_name.c_str())
      .with("identity", grant.identity.c_str())
      .at("credential_expires", grant.credential_expires)
      .with("token_length", static_cast<int64_t>(grant.token.size()))
      .at("token_expires", grant.token_expires)
      .with("sslmode", tls.sslmode ? tls.sslmode->c_str() : "")
      .with("sslrootcert", tls.sslrootcert ? tls.sslrootcert->c_str() : "")
      .with("result", grant.error.empty() ? "minted" : "failed");
}

/// A thread that were cancelled (pthread_cancel) while it waits here would be unwound through C++ frames with the
/// tables of another runtime, which ends the process, and leave a fetch that nobody finishes. So it is cancelled
/// afterwards: by libpq, or where the program waits next.
class Uncancelled {
 public:
  Uncancelled() { pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &before_); }
  ~Uncancelled() { pthread_setcancelstate(before_, nullptr); }
  Uncancelled(const Uncancelled&) = delete;
  Uncancelled& operator=(const Uncancelled&) = delete;

 private:
  int before_ = 0;
};

const pqmint_answer* mint(const pqmint_request* request) try {
  const Uncancelled guard;
  const LogScope scope(request->connection);
  // If memory was out when OpenSSL made its context, that is lost to this process, and every digest would crash (3.0).
  if (OSSL_LIB_CTX_get0_global_default() == nullptr) return nullptr;
  const Patience patience{Deadline::in(time_limit(*request))};
  auto answer = std::make_unique<Answer>();
  answer->login = view(request->user);
  for (size_t i = 0; i < request->host_count; ++i) {
    answer->owned.push_back(grant_for(*request, request->hosts[i], patience));
  }
  for (const Grant& grant : answer->owned) answer->trails.push_back(lines(grant.credential_trail));
  for (size_t i = 0; i < answer->owned.size(); ++i) {
    answer->shown.push_back(show(answer->owned[i], answer->trails[i]));
    if (answer->why.empty()) answer->why = answer->owned[i].error;
  }
  settle_user(*answer);
  plan_tls_for_all(*request, *answer);
  for (const Grant& grant : answer->owned) {
    if (grant.managed) log(grant, answer->tls);
  }
  answer->error = or_null(answer->why);
  if (!answer->user_for_libpq.empty()) answer->login = answer->user_for_libpq;
  answer->user = or_null(answer->user_for_libpq);
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

const char* explain(const pqmint_answer* answer, size_t grant, const char* said) try {
  const Uncancelled guard;
  // What was given out as const is an Answer that mint() made with new, and still belongs to its caller.
  auto* whole = const_cast<Answer*>(static_cast<const Answer*>(answer));
  whole->explanation = explain_refusal(whole->owned.at(grant), whole->login, view(said));
  return whole->explanation.c_str();
} catch (...) {
  return nullptr;
}

int forget(const pqmint_answer* answer, size_t grant) try {
  const Uncancelled guard;
  const Grant& refused = static_cast<const Answer*>(answer)->owned.at(grant);
  if (!refused.remembered) return 0;
  forget_credentials(*refused.remembered, refused.remembered_since);
  return 1;
} catch (...) {
  return 0;
}

}  // namespace
}  // namespace pqmint

extern "C" __attribute__((visibility("default"))) const pqmint_core_module* pqmint_core() {
  static constexpr pqmint_core_module kTable = {PQMINT_ABI_VERSION, pqmint::mint, pqmint::release, pqmint::explain,
                                                pqmint::forget};
  return &kTable;
}
