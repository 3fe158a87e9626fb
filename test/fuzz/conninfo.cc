// SPDX-License-Identifier: PostgreSQL
// Calls of libpq, resolved by the real one: the probe, and which hosts are claimed. No socket is ever asked for (the
// network of the fuzzers ends the process); what libpq itself reads in the words is what the target says; a user's own
// password is never passed over.
//
// Input: 'c' and a conninfo or URI; or 'p', 'e' or 'l' and lines: keyword and value by turns (not expanded, expanded),
// or PQsetdbLogin's host, port, options, dbname, user, password.

#include <dlfcn.h>
#include <libpq-fe.h>
#include <string.h>

#include "base/endpoint.h"
#include "preload/call.h"
#include "preload/claim.h"
#include "preload/libpq.h"
#include "preload/target.h"
#include "promise.h"

namespace pqmint::fuzz {
namespace {

const char* value_of(const PQconninfoOption* options, const char* keyword) {
  for (const PQconninfoOption* o = options; o && o->keyword; ++o) {
    if (strcmp(o->keyword, keyword) == 0) return o->val;
  }
  return nullptr;
}

/// What libpq, or the probe, puts in place of what it was told before the point where the probe stops it.
bool is_resolved(std::string_view keyword) {
  return keyword == "client_encoding" || keyword == "target_session_attrs" || keyword == "service" ||
         keyword == "servicefile" || keyword == "passfile";
}

void promise_that_all_is_as_libpq_reads_it(const Call& call, const Target& target) {
  if (call.shape != Call::Shape::kConninfo) return;
  PQconninfoOption* read = PQconninfoParse(call.conninfo, nullptr);
  PROMISE(read != nullptr, call.conninfo);
  const bool has_service = given(value_of(read, "service"));
  for (const PQconninfoOption* o = read; o->keyword; ++o) {
    if (!given(o->val) || is_resolved(o->keyword) || has_service) continue;
    PROMISE(same_text(target.option(o->keyword), o->val), o->keyword);
  }
  PQconninfoFree(read);
}

/// Said again in one string, it is the same; what is not said is libpq's default.
void promise_round_trip(const Target& target) {
  const Text text = conninfo_of(target.options(), nullptr, 0);
  PROMISE(text != nullptr, "memory");
  PQconninfoOption* read = PQconninfoParse(text.get(), nullptr);
  PROMISE(read != nullptr, text.get());
  for (const PQconninfoOption* o = target.options(); o->keyword; ++o) {
    if (!o->val) continue;
    const char* said = value_of(read, o->keyword);
    PROMISE(same_text(said ? said : o->compiled, o->val), o->keyword);
  }
  PQconninfoFree(read);
}

size_t entries_in(const char* list) {
  return 1 + static_cast<size_t>(std::count(list, list + strlen(list), ','));
}

void promise_hosts(const Target& target) {
  const char* host = target.option("host");
  const char* hostaddr = target.option("hostaddr");
  PROMISE(target.host_count() == entries_in(given(hostaddr) ? hostaddr : given(host) ? host : ""), "hosts");
  std::string joined;
  for (size_t i = 0; i < target.host_count(); ++i) {
    const Host& each = target.hosts()[i];
    PROMISE(given(each.port), "a port");
    joined.append(i > 0 ? "," : "").append(each.host ? each.host : "");
  }
  if (given(host)) PROMISE(joined == host, joined);
}

void promise_claims(const Target& target, const Claims& claims) {
  const char* password = target.option("password");
  const bool is_spec = is_token_spec(password) || is_token_spec(target.option("passfile"));
  for (size_t i = 0; i < target.host_count(); ++i) {
    const Host& host = target.hosts()[i];
    if (claims[i].spec) {
      PROMISE(is_spec && is_token_spec(claims[i].spec.get()), claims[i].spec.get());
    } else if (claims[i].wanted) {
      PROMISE(!host.is_socket() && given(host.host) && classify(host.host).service != Service::kNone, host.host);
      // There was none, or one that can only be a token.
      PROMISE(!given(password) || strstr(password, "X-Amz-Signature=") || strncmp(password, "eyJ", 3) == 0, password);
    }
  }
  PROMISE(!claims.password_must_go() || is_token_spec(password), "password");
  PROMISE(!claims.strays(), "nothing was minted here");
}

void look_at(const Libpq& libpq, const Call& call) {
  if (!call.can_be_asked()) return;
  Target target;
  if (!target.resolve(libpq, call)) {
    PROMISE(target.refusal() != nullptr && *target.refusal() != '\0', "libpq has its reasons");
    return;
  }
  PROMISE(target.refusal() == nullptr, target.refusal());
  promise_that_all_is_as_libpq_reads_it(call, target);
  promise_round_trip(target);
  promise_hosts(target);
  Claims claims;
  PROMISE(claims.decide(libpq, target), "memory");
  promise_claims(target, claims);
  static_cast<void>(claims.may_be_entra(target));
  target.look_for_names(libpq, call);
  if (target.complete(libpq, call, true)) promise_hosts(target);
}

}  // namespace

void conninfo(std::string_view input) {
  static const Libpq* const libpq = libpq_at(dlopen("libpq.so.5", RTLD_NOW | RTLD_GLOBAL));
  PROMISE(libpq != nullptr, "libpq");
  if (input.empty() || has(input, std::string_view("\0", 1))) return;
  // libpq itself opens files that these name; none of the machine's may make a difference.
  const std::string rest(input.substr(1));
  Call call = {};
  call.blocking = true;
  std::vector<std::string> texts;
  for (const std::string_view line : split(rest, "\n")) texts.emplace_back(line);
  std::vector<const char*> keywords, values;
  switch (input[0]) {
    case 'c':
      call.shape = Call::Shape::kConninfo;
      call.conninfo = rest.c_str();
      return look_at(*libpq, call);
    case 'p':
    case 'e':
      for (size_t i = 0; i + 1 < texts.size(); i += 2) {
        keywords.push_back(texts[i].c_str());
        values.push_back(texts[i + 1] == "-" ? nullptr : texts[i + 1].c_str());
      }
      keywords.push_back(nullptr);
      values.push_back(nullptr);
      call.shape = Call::Shape::kParams;
      call.keywords = keywords.data();
      call.values = values.data();
      call.expand_dbname = input[0] == 'e';
      return look_at(*libpq, call);
    case 'l':
      texts.resize(6);
      call.shape = Call::Shape::kLogin;
      call.host = texts[0].c_str();
      call.port = texts[1].c_str();
      call.options = texts[2].c_str();
      call.dbname = texts[3].c_str();
      call.user = texts[4].c_str();
      call.password = texts[5].c_str();
      return look_at(*libpq, call);
    default:
      return;
  }
}

}  // namespace pqmint::fuzz
