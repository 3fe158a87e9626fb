// SPDX-License-Identifier: PostgreSQL
// Opens a libpq, resolves a CONNINFO with it, and asks core.

#include "cli/inquiry.h"

#include <dlfcn.h>

#include <utility>

#include "preload/core_module.h"

namespace pqmint {

Result<OpenedLibpq> open_libpq() {
  void* handle = dlopen("libpq.so.5", RTLD_NOW | RTLD_LOCAL);
  if (!handle) {
    const char* reason = dlerror();
    return Error{std::string("cannot load libpq.so.5 (") + (reason ? reason : "no reason given") +
                 "); install it with: sudo apt-get install libpq5"};
  }
  const Libpq* libpq = libpq_at(handle);
  if (!libpq) return Error{"the libpq.so.5 that is installed lacks functions that libpq 14 has; install a newer one"};
  return OpenedLibpq{handle, libpq};
}

ConninfoCall::ConninfoCall(const char* conninfo) {
  if (conninfo) {
    keywords_[0] = "dbname";
    values_[0] = conninfo;
  }
  call.shape = Call::Shape::kParams;
  call.blocking = true;
  call.keywords = keywords_;
  call.values = values_;
  call.expand_dbname = 1;
}

Result<std::unique_ptr<Inquiry>> Inquiry::make(const Libpq& libpq, const char* conninfo, bool insist,
                                               bool at_terminal) {
  const ConninfoCall asked(conninfo);
  Target target;
  if (!target.resolve(libpq, asked.call)) {
    std::string why = target.refusal() ? target.refusal() : "out of memory";
    while (why.ends_with('\n')) why.pop_back();
    return Error{std::move(why)};
  }
  Claims claims;
  if (!claims.decide(libpq, target)) return Error{"out of memory"};
  if (insist) claims.insist(target);
  const bool user_is_given = !claims.may_be_entra(target) || target.user_is_given(libpq, asked.call);
  Connection* connection = Connection::make(libpq, std::move(target), std::move(claims));
  if (!connection) return Error{"out of memory"};
  // A token is the same for every user of the database.
  connection->user_is_given = user_is_given || at_terminal;
  connection->only_token = insist;
  connection->at_terminal = at_terminal;
  ModuleFault fault;
  connection->core = core_module(fault);
  if (!connection->core) return Connection::destroy(connection), Error{fault.text};
  const pqmint_answer* answer = connection->mint();
  if (!answer) return Connection::destroy(connection), Error{"out of memory"};
  return std::unique_ptr<Inquiry>(new Inquiry(connection, answer));
}

Inquiry::~Inquiry() {
  connection_->core->release(answer_);
  Connection::destroy(connection_);
}

}  // namespace pqmint
