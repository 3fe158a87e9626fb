// SPDX-License-Identifier: PostgreSQL
// Mints again for a PGconn and puts each token where libpq will read it.

#include "preload/reset.h"

#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <poll.h>
#include <stdio.h>
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

// The PGconn closed, and our sentence its error: shutting the socket makes libpq find the end of the stream and drop
// the connection; PQencryptPasswordConn quotes an unknown algorithm in the error buffer without a word to the server.
void refuse(const Libpq& libpq, PGconn* conn, const char* text) {
  LogLine(LogLevel::kError, "error").with("text", text);
  if (const int fd = libpq.socket(conn); fd >= 0 && libpq.status(conn) != CONNECTION_BAD) {
    shutdown(fd, SHUT_RDWR);
    libpq.consume_input(conn);
  }
  char said[2048];
  snprintf(said, sizeof said, "pqmint: %s", text);
  replace_message(libpq, conn, said);
}

// True when the password of the current host is now what `answer` holds for it, or is none of ours.
bool put_token(const Connection& known, PGconn* conn, const pqmint_answer* answer) {
  const Route* route = known.route_at(conn);
  if (route == nullptr || !answer->grants[route->grant].managed) return true;
  char* password = known.libpq->pass(conn);
  const char* token = answer->grants[route->grant].token;
  // Only over the token that we gave it: anything else means that the PGconn is not the one we know.
  if (!given(password) || Minted::fingerprint(password) != route->token) return true;
  const size_t old_length = strlen(password);
  const size_t length = strlen(token);
  if (length + 1 > malloc_usable_size(password)) return false;
  memcpy(password, token, length + 1);
  if (old_length > length) explicit_bzero(password + length + 1, old_length - length);
  route->token = Minted::fingerprint(token);
  return true;
}

// Fresh tokens for all hosts, or null after the PGconn was refused.
const pqmint_answer* mint_again(const Connection& known, PGconn* conn) {
  const pqmint_answer* answer = known.mint();
  if (answer == nullptr) return refuse(*known.libpq, conn, "out of memory"), nullptr;
  if (answer->error) {
    refuse(*known.libpq, conn, answer->error);
    known.core->release(answer);
    return nullptr;
  }
  known.remember(answer);
  return answer;
}

constexpr const char* kTooLong =
    "the new token is longer than the room that this connection has for it; open a new connection instead of resetting";

// Makes the attempt that libpq is waiting for fail with an error, as an unreachable host would, so that libpq goes on
// to the next one: PQconnectPoll has no other word for "this host took too long". A socket pair whose far end was
// closed with a byte unread has ECONNRESET pending; it takes the place of the connecting socket.
void give_up_on_host(int fd) {
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

long seconds_now() {
  timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return now.tv_sec;
}

// What PQreset does inside libpq, with a token put in before each host is asked to let us in: libpq visits its hosts
// one after another, and only the current one's password can be reached.
void reset_over_hosts(const Connection& known, PGconn* conn, const pqmint_answer* answer) {
  const Libpq& libpq = *known.libpq;
  const char* setting = known.target.option("connect_timeout");
  int timeout = 0;
  if (setting) libpq_integer(setting, timeout);
  if (timeout > 0 && timeout < kLeastTimeout) timeout = kLeastTimeout;

  bool room = put_token(known, conn, answer);
  if (!libpq.reset_start(conn)) return;
  const Route* trying = known.route_at(conn);
  long give_up_at = seconds_now() + timeout;
  PostgresPollingStatusType status = PGRES_POLLING_WRITING;
  while (status == PGRES_POLLING_READING || status == PGRES_POLLING_WRITING) {
    if (const Route* route = known.route_at(conn); route != trying) {
      trying = route;
      give_up_at = seconds_now() + timeout;
    }
    room = room && put_token(known, conn, answer);
    pollfd waiting = {libpq.socket(conn), static_cast<short>(status == PGRES_POLLING_READING ? POLLIN : POLLOUT), 0};
    const long left = give_up_at - seconds_now();
    const int wait_ms = timeout <= 0 ? -1 : left > 0 ? static_cast<int>(left > 1000000 ? 1000000 : left) * 1000 : 0;
    const int ready = poll(&waiting, 1, wait_ms);
    if (ready < 0 && errno == EINTR) continue;
    if (ready == 0) give_up_on_host(waiting.fd);
    status = libpq.reset_poll(conn);
  }
  if (!room) refuse(libpq, conn, kTooLong);
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
  if (known == nullptr) return libpq.reset(conn);
  const LogScope scope(known->number);
  known->forget_pending();
  const pqmint_answer* answer = mint_again(*known, conn);
  if (answer == nullptr) return;
  if (known->route_count > 1) {
    reset_over_hosts(*known, conn, answer);
  } else if (put_token(*known, conn, answer)) {
    libpq.reset(conn);
  } else {
    refuse(libpq, conn, kTooLong);
  }
  log_end(libpq, conn, "reset", "failed");
  tell_of_refusal(*known, conn, answer);
  known->core->release(answer);
}

int reset_start(const Libpq& libpq, PGconn* conn) {
  Inside inside(libpq);
  if (is_stillborn(conn)) return 0;
  Connection* known = refillable(conn);
  if (known == nullptr) return libpq.reset_start(conn);
  const LogScope scope(known->number);
  known->forget_pending();
  known->pending = mint_again(*known, conn);
  if (known->pending == nullptr) return 0;
  if (!put_token(*known, conn, known->pending)) return refuse(libpq, conn, kTooLong), 0;
  return libpq.reset_start(conn);
}

PostgresPollingStatusType reset_poll(const Libpq& libpq, PGconn* conn) {
  Inside inside(libpq);
  Connection* known = refillable(conn);
  if (known == nullptr || known->pending == nullptr) return libpq.reset_poll(conn);
  if (!put_token(*known, conn, known->pending)) {
    refuse(libpq, conn, kTooLong);
    known->forget_pending();
    return PGRES_POLLING_FAILED;
  }
  const PostgresPollingStatusType status = libpq.reset_poll(conn);
  const LogScope scope(known->number);
  if (status == PGRES_POLLING_OK || status == PGRES_POLLING_FAILED) log_end(libpq, conn, "reset", "failed");
  if (status == PGRES_POLLING_FAILED) tell_of_refusal(*known, conn, known->pending);
  if (status == PGRES_POLLING_OK || status == PGRES_POLLING_FAILED) known->forget_pending();
  return status;
}

}  // namespace pqmint
