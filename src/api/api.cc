// SPDX-License-Identifier: PostgreSQL
// The functions of pqmint.h: an inquiry, with a C face.

#include <pqmint/pqmint.h>
#include <stdlib.h>
#include <string.h>

#include <new>
#include <utility>

#include "preload/inquiry.h"

struct pqmint_token {
  pqmint::Text error;
  const pqmint::Inquiry* inquiry;  // null with an error of its own
  const pqmint_grant* grant;       // null with any error
  pqmint::Text hostaddr;           // null: the host's name is to be looked up
};

namespace {

using namespace pqmint;

template <typename T, typename... Arguments>
T* make(Arguments&&... arguments) {
  void* room = malloc(sizeof(T));
  return room ? new (room) T{arguments...} : nullptr;
}

// The sentence of what went wrong, or null with the grant set.
const char* look(const Inquiry& inquiry, Text& own, const pqmint_grant*& grant) {
  if (inquiry.error()) return inquiry.error();
  const size_t host = inquiry.first_managed();
  if (host == inquiry.answer().grant_count) {
    own = inquiry.no_host_is_ours();
    return own ? own.get() : "out of memory";
  }
  const pqmint_grant& found = inquiry.answer().grants[host];
  if (found.error) return found.error;
  // Where the roots are is the program's business; whether there is TLS at all is the token's.
  if (same_text(inquiry.target().option("sslmode"), "disable")) return inquiry.answer().error;
  grant = &found;
  return nullptr;
}

// The host as the user has it.
const Host& dialled(const pqmint_token& token) {
  return token.inquiry->target().hosts()[token.inquiry->first_managed()];
}

// `ours` if the token's condition is stricter than what the user has set.
const char* setting(const pqmint_token* token, const char* ours, const char* keyword) {
  return ours ? ours : token->inquiry->target().option(keyword);
}

}  // namespace

pqmint_token* pqmint_mint(const char* conninfo) {
  auto* token = make<pqmint_token>(nullptr, nullptr, nullptr, nullptr);
  if (!token) return nullptr;
  Text why;
  const Libpq* libpq = some_libpq(why);
  if (!libpq) {
    token->error = why ? std::move(why) : copy_text("out of memory");
  } else {
    void* room = malloc(sizeof(Inquiry));
    if (room) {
      token->inquiry = new (room) Inquiry(*libpq, conninfo, Inquiry::Purpose::kToken);
      const char* error = look(*token->inquiry, why, token->grant);
      if (error) {
        token->error = copy_text(error);
      } else {
        const char* addresses = token->grant->hostaddrs;
        if (!given(addresses)) addresses = dialled(*token).hostaddr;
        if (given(addresses)) token->hostaddr = Text(strndup(addresses, strcspn(addresses, ",")));
      }
    }
  }
  if (!token->grant && !token->error) {
    pqmint_free(token);
    return nullptr;
  }
  return token;
}

const char* pqmint_error(const pqmint_token* token) {
  return token->error.get();
}

const char* pqmint_password(const pqmint_token* token) {
  return token->grant ? token->grant->token : nullptr;
}

int64_t pqmint_expires(const pqmint_token* token) {
  return token->grant ? token->grant->token_expires : 0;
}

const char* pqmint_host(const pqmint_token* token) {
  return token->grant ? token->grant->host : nullptr;
}

const char* pqmint_hostaddr(const pqmint_token* token) {
  return token->hostaddr.get();
}

const char* pqmint_port(const pqmint_token* token) {
  return token->grant ? dialled(*token).port : nullptr;
}

const char* pqmint_user(const pqmint_token* token) {
  return token->grant ? setting(token, token->inquiry->answer().user, "user") : nullptr;
}

const char* pqmint_sslmode(const pqmint_token* token) {
  return token->grant ? setting(token, token->inquiry->answer().sslmode, "sslmode") : nullptr;
}

const char* pqmint_sslrootcert(const pqmint_token* token) {
  if (!token->grant) return nullptr;
  const char* roots = setting(token, token->inquiry->answer().sslrootcert, "sslrootcert");
  return given(roots) ? roots : nullptr;
}

void pqmint_free(pqmint_token* token) {
  if (!token) return;
  if (token->inquiry) {
    token->inquiry->~Inquiry();
    free(const_cast<Inquiry*>(token->inquiry));
  }
  token->~pqmint_token();
  free(token);
}

const char* pqmint_version() {
  return PQMINT_VERSION;
}
