// SPDX-License-Identifier: PostgreSQL
// Decides which hosts of a target pqmint answers for.

#include "preload/claim.h"

#include <stdlib.h>
#include <string.h>

#include <utility>

#include "base/endpoint.h"
#include "preload/connection.h"
#include "preload/minted.h"
#include "preload/server.h"

namespace pqmint {
namespace {

constexpr const char kSpecPrefix[] = "pqmint:";
constexpr const char kOff[] = "pqmint:off";

bool is_off(const char* spec) {
  const size_t n = sizeof kOff - 1;
  return strncmp(spec, kOff, n) == 0 && (spec[n] == '\0' || spec[n] == '?');
}

// A JSON web token: three parts of base64url, the first of which begins with {" in its spelling there.
bool looks_like_a_web_token(const char* password) {
  constexpr size_t kShortest = 100;  // a header and a signature alone are longer
  if (strncmp(password, "eyJ", 3) != 0 || strlen(password) < kShortest) return false;
  size_t dots = 0;
  for (const char* c = password; *c; ++c) {
    const bool letter = (*c >= 'a' && *c <= 'z') || (*c >= 'A' && *c <= 'Z') || (*c >= '0' && *c <= '9');
    if (*c == '.') {
      ++dots;
    } else if (!letter && *c != '-' && *c != '_' && *c != '=') {
      return false;
    }
  }
  return dots == 2;
}

// A token minted by whomever: PGPASSWORD=$(aws rds generate-db-auth-token ...) or $(az account get-access-token ...).
bool looks_like_a_token(const char* password) {
  if (looks_like_a_web_token(password)) return true;
  return strstr(password, "/?") && strstr(password, "Action=") && strstr(password, "X-Amz-Signature=");
}

// Handed out lately, or to a connection that still lives: a pool may hold one for days.
bool is_ours(const char* password) {
  bool is_its_host;
  Text spec;
  return Minted::knows(password) || connections::has_token(password, nullptr, nullptr, is_its_host, spec);
}

// A host whose port libpq refuses needs no token: it is never dialled.
void set_spec(Claim& claim, const Host& host, const char* spec, bool is_users_own) {
  claim.spec = copy_text(spec);
  claim.may_run = is_users_own && !inside_a_server();
  claim.wanted = claim.spec && !is_off(spec) && !host.has_bad_port();
}

}  // namespace

bool is_token_spec(const char* text) {
  return text != nullptr && strncmp(text, kSpecPrefix, sizeof kSpecPrefix - 1) == 0;
}

Claims::Claims(Claims&& other) noexcept
    : claims_(std::move(other.claims_)),
      count_(std::exchange(other.count_, 0)),
      password_must_go_(other.password_must_go_),
      password_file_must_go_(other.password_file_must_go_),
      strays_(other.strays_) {}

Claims::~Claims() {
  for (size_t i = 0; i < count_; ++i) {
    if (claims_[i].password) explicit_bzero(claims_[i].password.get(), strlen(claims_[i].password.get()));
    claims_[i].spec.reset();
    claims_[i].password.reset();
  }
}

bool Claims::decide(const Libpq& libpq, const Target& target) {
  claims_ = zeroed_array<Claim>(target.host_count());
  if (!claims_) return false;
  count_ = target.host_count();
  const char* password = target.option("password");
  const char* file = target.option("passfile");
  const char* spec = is_token_spec(password) ? password : is_token_spec(file) ? file : nullptr;
  if (spec != nullptr) {
    password_must_go_ = spec == password;
    // A password may come from anywhere but the environment.
    const bool is_users_own = spec == file || same_text(spec, getenv("PGPASSWORD"));
    for (size_t i = 0; i < count_; ++i) set_spec(claims_[i], target.hosts()[i], spec, is_users_own);
  } else if (!given(password)) {
    decide_by_password_file(libpq, target);
  } else if (is_ours(password)) {
    decide_for_returned_token(libpq, target, password);
  } else if (looks_like_a_token(password)) {
    for (size_t i = 0; i < count_; ++i) take_by_name(target, i);
  }
  return true;
}

void Claims::decide_by_password_file(const Libpq& libpq, const Target& target) {
  for (size_t i = 0; i < count_; ++i) {
    // The probe looked the first host up already.
    Text looked_up = i == 0 ? nullptr : target.password_file_entry(libpq, i);
    const char* entry = i == 0 ? target.password() : looked_up.get();
    if (is_token_spec(entry)) {
      set_spec(claims_[i], target.hosts()[i], entry, true);
    } else if (given(entry) && !looks_like_a_token(entry)) {
      claims_[i].password = i == 0 ? copy_text(entry) : std::move(looked_up);
    } else {
      take_by_name(target, i);
    }
  }
  bool has_spec = false, has_password = false;
  for (size_t i = 0; i < count_; ++i) {
    has_spec |= claims_[i].spec != nullptr;
    has_password |= claims_[i].password != nullptr;
  }
  password_file_must_go_ = has_spec && !any() && !has_password;
}

void Claims::decide_for_returned_token(const Libpq& libpq, const Target& target, const char* token) {
  bool goes_out = false;
  for (size_t i = 0; i < count_; ++i) {
    const Host& host = target.hosts()[i];
    if (host.has_bad_port()) continue;
    goes_out = true;
    Text spec;
    bool is_its_host = Minted::was_made_for(token, host.host, host.port, &spec);
    if (!is_its_host) connections::has_token(token, host.host, host.port, is_its_host, spec);
    if (is_its_host) {
      claims_[i].wanted = true;
      claims_[i].may_run = !inside_a_server();  // it was the user's own when the token was made
      claims_[i].spec = std::move(spec);
    } else {
      take_by_name(target, i);
      if (!claims_[i].wanted) claims_[i].password = target.password_file_entry(libpq, i);
    }
  }
  strays_ = goes_out && !any();
}

void Claims::take_by_name(const Target& target, size_t host) {
  const Host& named = target.hosts()[host];
  // Inside a server only a spec counts: who connects there by name never asked for the server's identity.
  claims_[host].wanted = !named.is_socket() && !named.has_bad_port() && given(named.host) &&
                         classify(named.host).service != Service::kNone && !inside_a_server();
}

void Claims::insist(const Target& target) {
  for (size_t i = 0; i < count_; ++i) {
    if (!claims_[i].spec) take_by_name(target, i);
  }
}

bool Claims::may_be_entra(const Target& target) const {
  for (size_t i = 0; i < count_; ++i) {
    const char* host = target.hosts()[i].host;
    if (!claims_[i].wanted) continue;
    if (claims_[i].spec || (given(host) && classify(host).service == Service::kEntra)) return true;
  }
  return false;
}

bool Claims::any() const {
  for (size_t i = 0; i < count_; ++i) {
    if (claims_[i].wanted) return true;
  }
  return false;
}

}  // namespace pqmint
