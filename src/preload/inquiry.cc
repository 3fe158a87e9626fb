// SPDX-License-Identifier: PostgreSQL
// Finds a libpq, resolves a CONNINFO with it, and asks core.

#include "preload/inquiry.h"

#include <dlfcn.h>
#include <stdio.h>
#include <string.h>

#include <utility>

#include "base/libpq_integer.h"
#include "base/log.h"
#include "preload/core_module.h"
#include "preload/prepare.h"

namespace pqmint {
const Libpq* some_libpq(Text& why) {
  void* handle = dlopen("libpq.so.5", RTLD_NOW | RTLD_LOCAL);  // kept: the functions point into it
  if (!handle) {
    const char* reason = dlerror();
    why = joined("cannot load libpq.so.5 (", reason ? reason : "no reason given",
                 "); install it with: sudo apt-get install libpq5");
    return nullptr;
  }
  // If that was our stand-in, it leads to what is interposed; the real one stands behind it.
  if (void* real = dlopen("libpq-real.so.5", RTLD_LAZY | RTLD_NOLOAD)) handle = real;
  const Libpq* libpq = libpq_at(handle);
  if (!libpq) why = joined("the libpq.so.5 that is installed lacks functions that libpq 14 has; install a newer one");
  return libpq;
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

Inquiry::Inquiry(const Libpq& libpq, const char* conninfo, Purpose purpose) {
  const Inside inside(libpq);
  const ConninfoCall asked(conninfo);
  Target target;
  Claims claims;
  const Errand errand = purpose == Purpose::kConnection ? Errand::kCheck : Errand::kToken;
  if (prepare(libpq, asked.call, errand, target, claims) == Outlook::kStopped) {
    error_ = joined(target.refusal() ? target.refusal() : "out of memory");
    cut_last_newlines(error_.get());
    return;
  }
  // libpq looks at it no earlier than at the end of a blocking connect's first step, after the network's first packet.
  const char* timeout = target.option("connect_timeout");
  if (int seconds; timeout && !libpq_integer(timeout, seconds)) {
    error_ = joined("invalid integer value \"", timeout, "\" for connection option \"connect_timeout\"");
    return;
  }
  connection_ = Connection::make(libpq, std::move(target), std::move(claims));
  if (!connection_) {
    error_ = joined("out of memory");
    return;
  }
  const LogScope scope(connection_->number);
  connection_->only_token = purpose != Purpose::kConnection;
  connection_->at_terminal = purpose == Purpose::kDeviceCode;
  ModuleFault fault;
  connection_->core = core_module(fault);
  if (!connection_->core) {
    error_ = joined(fault.text);
    return;
  }
  answer_ = connection_->mint();
  if (!answer_) {
    error_ = joined("out of memory");
  } else if (answer_->user) {
    connection_->user = copy_text(answer_->user);
  }
}

Inquiry::~Inquiry() {
  if (answer_) connection_->core->release(answer_);
  Connection::destroy(connection_);
}

size_t Inquiry::first_managed() const {
  size_t i = 0;
  while (i < answer_->grant_count && !answer_->grants[i].managed) ++i;
  return i;
}

Text Inquiry::port_fault(size_t host) const {
  const Host& asked = target().hosts()[host];
  if (int number; !libpq_integer(asked.port, number)) {
    return joined("invalid integer value \"", asked.port, "\" for connection option \"port\"");
  }
  return asked.has_bad_port() ? joined("invalid port number: \"", asked.port, "\"") : nullptr;
}

Text Inquiry::no_host_is_ours() const {
  for (size_t i = 0; i < target().host_count(); ++i) {
    if (Text fault = port_fault(i)) return fault;
  }
  const char* host = target().hosts()[0].host;
  if (!given(host)) return joined("no host is named; say host=NAME, or set PGHOST or PGSERVICE");
  return joined("host \"", host,
                "\" is not an endpoint of RDS, Aurora, DSQL or Azure Database for PostgreSQL; for a tunnel or a CNAME, "
                "name the real one: passfile=pqmint:rds?endpoint=NAME.rds.amazonaws.com:5432");
}

}  // namespace pqmint
