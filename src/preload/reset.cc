// SPDX-License-Identifier: PostgreSQL
// Mints again for a PGconn and puts each token where libpq will read it.

#include "preload/reset.h"

#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <poll.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "base/libpq_integer.h"
#include "base/log.h"
#include "preload/connection.h"
#include "preload/message.h"
#include "preload/minted.h"

namespace pqmint {
namespace {

// libpq's own floor: a timeout of 1 s could expire at once (PQconnectPoll counts in whole seconds).
constexpr int kLeastTimeout = 2;

// Breaks the PGconn's connection, and any attempt at one. A socket pair whose far end was closed with a byte unread has
// ECONNRESET pending; it takes the place of the socket.
void break_socket(int fd) {
  int pair[2];
  if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair) != 0) {
    shutdown(fd, SHUT_RDWR);
    return;
  }
  if (write(pair[0], "", 1) < 0) shutdown(pair[0], SHUT_RDWR);
  close(pair[1]);
  dup3(pair[0], fd, O_CLOEXEC);
  close(pair[0]);
}

// The PGconn closed, and our sentence its error: libpq reads what it still has, finds the socket broken and drops the
// connection.
void refuse(const Libpq& libpq, PGconn* conn, const char* text) {
  // A TLS record is all that it can have. A socket that could only be shut down may hold megabytes.
  constexpr int kMostReads = 1024;
  Text room;
  const char* said = say_error(text, room);
  if (const int fd = libpq.socket(conn); fd >= 0 && libpq.status(conn) != CONNECTION_BAD) break_socket(fd);
  for (int i = 0; i < kMostReads && libpq.status(conn) != CONNECTION_BAD; ++i) libpq.consume_input(conn);
  replace_message(libpq, conn, said);
}

// True when the password of the current host is now what `answer` holds for it, or is none of ours.
bool put_token(const Connection& known, PGconn* conn, const pqmint_answer* answer) {
  const Route* route = known.route_at(conn);
  if (route == nullptr || !answer->grants[route->grant].managed) return true;
  char* password = known.libpq->pass(conn);
  const char* token = answer->grants[route->grant].token;
  // Only over the token that we gave it: anything else means that the PGconn is not the one we know.
  if (!given(password) || Minted::fingerprint(password) != route->token()) return true;
  const size_t old_length = strlen(password);
  const size_t length = strlen(token);
  if (length + 1 > malloc_usable_size(password)) return false;
  memcpy(password, token, length + 1);
  if (old_length > length) explicit_bzero(password + length + 1, old_length - length);
  route->set_token(Minted::fingerprint(token));
  return true;
}

constexpr const char* kTooLong =
    "the new token is longer than the room that this connection has for it; open a new connection instead of resetting";
constexpr const char* kMoved =
    "the host's name leads to other addresses than when this connection was opened; open a new connection instead of "
    "resetting";

// Fresh tokens for all hosts, pending. False after the PGconn was refused.
bool mint_again(Connection& known, PGconn* conn) {
  known.forget_pending();
  known.pending = known.mint();
  const char* obstacle = !known.pending                         ? "out of memory"
                         : known.pending->error                 ? known.pending->error
                         : !known.still_leads_to(known.pending) ? kMoved
                                                                : nullptr;
  if (obstacle == nullptr) return known.remember(known.pending), true;
  refuse(*known.libpq, conn, obstacle);
  known.forget_pending();
  return false;
}

// Logs and explains how the reset ended.
void end(Connection& known, PGconn* conn) {
  log_end(*known.libpq, conn, "reset", "failed");
  tell_of_refusal(known, conn, known.pending);
  known.forget_pending();
}

long seconds_now() {
  timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return now.tv_sec;
}

// Where libpq is, as a number.
uint64_t place_of(const Libpq& libpq, PGconn* conn) {
  return fingerprint_of(libpq.hostaddr(conn), fingerprint_of(libpq.port(conn), fingerprint_of(libpq.host(conn))));
}

// The places that took too long in this reset.
class SilentPlaces {
 public:
  bool has(uint64_t place) const {
    for (size_t i = 0; i < count_; ++i) {
      if (places_[i] == place) return true;
    }
    return false;
  }
  /// False if it is known already, or too many are.
  bool add(uint64_t place) {
    if (has(place) || count_ == sizeof places_ / sizeof *places_) return false;
    places_[count_++] = place;
    return true;
  }

 private:
  uint64_t places_[64];  // each cost two seconds or more
  size_t count_ = 0;
};

// What PQreset does inside libpq, with a token put in before each host is asked to let us in: libpq visits its hosts
// one after another, and only the current one's password can be reached. False when one had no room for its token.
//
// PQconnectPoll has no word for "this host took too long". While it waits for the host to accept, a broken socket makes
// it go on to the next; later, in TLS or at the login, that would be the end. So then the reset begins again, and
// passes by who was silent before.
bool reset_over_hosts(const Connection& known, PGconn* conn) {
  const Libpq& libpq = *known.libpq;
  const char* setting = known.target.option("connect_timeout");
  int timeout = 0;
  if (setting) libpq_integer(setting, timeout);
  if (timeout > 0 && timeout < kLeastTimeout) timeout = kLeastTimeout;

  const auto start = [&] { return call_out(libpq.reset_start, conn) ? PGRES_POLLING_WRITING : PGRES_POLLING_FAILED; };
  bool room = put_token(known, conn, known.pending);
  PostgresPollingStatusType status = start();
  SilentPlaces silent;
  uint64_t trying = place_of(libpq, conn);
  long give_up_at = seconds_now() + timeout;
  while (status == PGRES_POLLING_READING || status == PGRES_POLLING_WRITING) {
    if (const uint64_t place = place_of(libpq, conn); place != trying) {
      trying = place;
      give_up_at = seconds_now() + timeout;
    }
    room = room && put_token(known, conn, known.pending);
    pollfd waiting = {libpq.socket(conn), static_cast<short>(status == PGRES_POLLING_READING ? POLLIN : POLLOUT), 0};
    const long left = give_up_at - seconds_now();
    const int wait_ms = timeout <= 0 ? -1 : left > 0 ? static_cast<int>(left > 1000000 ? 1000000 : left) * 1000 : 0;
    const int ready = silent.has(trying) ? 0 : call_out(poll, &waiting, nfds_t{1}, wait_ms);
    if (ready < 0 && errno == EINTR) continue;
    if (ready != 0) {
      status = call_out(libpq.reset_poll, conn);
      continue;
    }
    if (silent.add(trying) && libpq.status(conn) != CONNECTION_STARTED) {
      status = start();
    } else {
      break_socket(waiting.fd);
      status = call_out(libpq.reset_poll, conn);
    }
    give_up_at = seconds_now() + timeout;
  }
  return room;
}

// Something of ours to refill: a PGconn that was opened with tokens, which came from core. Others go to the real
// function.
Connection* refillable(PGconn* conn) {
  Connection* known = connections::find(conn);
  return known && known->core && !known->stillborn ? known : nullptr;
}

// Never had options that libpq accepts, and never will: the real function would only take its error text away.
bool is_stillborn(PGconn* conn) {
  const Connection* known = connections::find(conn);
  return known && known->stillborn;
}

}  // namespace

void reset(const Libpq& libpq, PGconn* conn) {
  Inside inside(libpq);
  if (is_stillborn(conn)) return;
  Connection* known = refillable(conn);
  if (known == nullptr) return call_out(libpq.reset, conn);
  const LogScope scope(known->number);
  if (!mint_again(*known, conn)) return;
  if (known->route_count > 1) {
    if (!reset_over_hosts(*known, conn)) refuse(libpq, conn, kTooLong);
  } else if (put_token(*known, conn, known->pending)) {
    call_out(libpq.reset, conn);
  } else {
    refuse(libpq, conn, kTooLong);
  }
  end(*known, conn);
}

int reset_start(const Libpq& libpq, PGconn* conn) {
  Inside inside(libpq);
  if (is_stillborn(conn)) return 0;
  Connection* known = refillable(conn);
  if (known == nullptr) return call_out(libpq.reset_start, conn);
  const LogScope scope(known->number);
  if (!mint_again(*known, conn)) return 0;
  const bool has_room = put_token(*known, conn, known->pending);
  if (has_room && call_out(libpq.reset_start, conn)) return 1;
  if (!has_room) refuse(libpq, conn, kTooLong);
  end(*known, conn);
  return 0;
}

PostgresPollingStatusType reset_poll(const Libpq& libpq, PGconn* conn) {
  Inside inside(libpq);
  Connection* known = refillable(conn);
  if (known == nullptr || known->pending == nullptr) return call_out(libpq.reset_poll, conn);
  const LogScope scope(known->number);
  PostgresPollingStatusType status = PGRES_POLLING_FAILED;
  if (put_token(*known, conn, known->pending)) {
    status = call_out(libpq.reset_poll, conn);
  } else {
    refuse(libpq, conn, kTooLong);
  }
  if (status == PGRES_POLLING_OK || status == PGRES_POLLING_FAILED) end(*known, conn);
  return status;
}

}  // namespace pqmint
