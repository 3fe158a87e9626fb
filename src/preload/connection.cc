// SPDX-License-Identifier: PostgreSQL
// Keeps, finds and forgets what belongs to a PGconn.

#include "preload/connection.h"

#include <pthread.h>
#include <string.h>

#include <new>
#include <utility>

#include "base/endpoint.h"
#include "preload/minted.h"

namespace pqmint {
namespace {

constexpr size_t kBuckets = 256;

struct Registry {
  // Says no to the thread that has it: to a handler that finishes a connection, say.
  pthread_mutex_t lock = PTHREAD_ERRORCHECK_MUTEX_INITIALIZER_NP;
  Connection* buckets[kBuckets] = {};
  size_t count = 0;  // read without the lock: programs without a connection of ours pay one load
  bool follows_forks = false;
};

constinit Registry g_registry;

bool lock_registry() {
  return pthread_mutex_lock(&g_registry.lock) == 0;
}
void unlock_registry() {
  pthread_mutex_unlock(&g_registry.lock);
}
void follow_forks() {
  if (g_registry.follows_forks) return;
  // The child's thread is not the one that took the lock.
  g_registry.follows_forks = pthread_atfork([] { lock_registry(); }, unlock_registry,
                                            [] { g_registry.lock = PTHREAD_ERRORCHECK_MUTEX_INITIALIZER_NP; }) == 0;
}

Connection** slot_of(const PGconn* conn) {
  // malloc aligns to 16 and a PGconn is near 1 kB.
  Connection** at = &g_registry.buckets[(reinterpret_cast<uintptr_t>(conn) >> 6) % kBuckets];
  while (*at && (*at)->conn != conn) at = &(*at)->next;
  return at;
}

/// Whether `word` stands in a list that is parted by commas.
bool is_listed(const char* word, const char* list) {
  const size_t length = word ? strlen(word) : 0;
  for (;; ++list) {
    const size_t size = strcspn(list, ",");
    if (size == length && strncmp(list, word, size) == 0) return true;
    list += size;
    if (*list == '\0') return false;
  }
}

Connection* unlink(Connection** at) {
  Connection* found = *at;
  if (found) {
    *at = found->next;
    __atomic_sub_fetch(&g_registry.count, 1, __ATOMIC_RELAXED);
  }
  return found;
}

// Whether behind "NAME:PORT" several servers are as good as one another, so that its name shows one after the other.
bool is_one_of_many(const char* endpoint) {
  if (!given(endpoint)) return false;
  const char* port = strrchr(endpoint, ':');
  const size_t length = port ? static_cast<size_t>(port - endpoint) : strlen(endpoint);
  switch (classify({endpoint, length}).kind) {
    case HostKind::kNone:
    case HostKind::kClusterWriter:
    case HostKind::kInstance:
    case HostKind::kGlobalWriter:
    case HostKind::kAzure:
      return false;
    default:
      return true;
  }
}

}  // namespace

const char* Route::slot_key() const {
  if (given(host.get())) return host.get();
  // libpq looks the default socket directory up as "localhost".
  return given(hostaddr.get()) ? hostaddr.get() : "localhost";
}

Connection* Connection::make(const Libpq& libpq, Target&& target, Claims&& claims) {
  void* room = calloc(1, sizeof(Connection));
  if (room == nullptr) return nullptr;
  static constinit uint64_t connections = 0;
  const uint64_t number = __atomic_add_fetch(&connections, 1, __ATOMIC_RELAXED);
  return new (room) Connection{&libpq, std::move(target), std::move(claims), number};
}

void Connection::destroy(Connection* connection) {
  if (connection == nullptr) return;
  connection->forget_routes();
  connection->forget_pending();
  connection->~Connection();
  free(connection);
}

void Connection::forget_pending() {
  if (pending) core->release(pending);
  pending = nullptr;
}

void Connection::forget_routes() {
  for (size_t i = 0; i < route_count; ++i) routes[i].~Route();
  route_count = 0;
}

const char* Connection::dbname() const {
  return user && !target.dbname_is_given() ? user.get() : target.option("dbname");
}

bool Connection::plan_routes(const pqmint_answer* answer) {
  const auto addresses_of = [&](size_t host) {
    const char* dialled = answer->grants[host].hostaddrs;
    return given(dialled) ? dialled : target.hosts()[host].hostaddr;
  };
  size_t most = 0;
  for (size_t i = 0; i < target.host_count(); ++i) {
    ++most;
    for (const char* c = addresses_of(i); c && *c; ++c) most += *c == ',';
  }
  forget_routes();
  routes = zeroed_array<Route>(most);
  if (!routes) return false;
  for (size_t i = 0; i < target.host_count(); ++i) {
    const Host& host = target.hosts()[i];
    const bool managed = answer->grants[i].managed;
    const char* address = addresses_of(i);
    do {
      const size_t length = address ? strcspn(address, ",") : 0;
      Route& route = routes[route_count++];
      route.host = copy_text(managed ? answer->grants[i].host : host.host);
      route.hostaddr = Text(length ? strndup(address, length) : nullptr);
      route.port = copy_text(host.port);
      route.grant = i;
      const bool has_name = managed || given(host.host);
      // A name that is lost would make libpq go to its own socket, where there is no TLS.
      if (!route.port || (length && !route.hostaddr) || (has_name && !route.host)) return false;
      if (address) address = address[length] ? address + length + 1 : nullptr;
    } while (address);
  }
  return true;
}

bool Connection::still_leads_to(const pqmint_answer* answer) const {
  // One address that both have will do: names with many show some of them, in any order.
  for (size_t i = 0; i < target.host_count(); ++i) {
    const char* addresses = answer->grants[i].hostaddrs;
    if (!given(addresses) || is_one_of_many(answer->grants[i].endpoint)) continue;
    bool leads = false;
    for (size_t route = 0; route < route_count; ++route) {
      leads |= routes[route].grant == i && is_listed(routes[route].hostaddr.get(), addresses);
    }
    if (!leads) return false;
  }
  return true;
}

const pqmint_answer* Connection::mint() const {
  Array<pqmint_host> hosts = zeroed_array<pqmint_host>(target.host_count());
  if (!hosts) return nullptr;
  for (size_t i = 0; i < target.host_count(); ++i) {
    const Host& host = target.hosts()[i];
    hosts[i] = {host.host, host.hostaddr, host.port, claims[i].spec.get(), claims[i].may_run, claims[i].wanted};
  }
  pqmint_request request = {};
  request.connection = number;
  request.libpq_version = libpq->lib_version();
  request.user = user ? user.get() : target.option("user");
  // A token that a person logs in for is the same for every user of the database.
  request.user_is_given = target.user_is_given() || user || at_terminal;
  request.dbname = target.option("dbname");
  request.sslmode = target.option("sslmode");
  request.sslrootcert = target.option("sslrootcert");
  request.gssencmode = target.option("gssencmode");
  request.options = target.option("options");
  request.connect_timeout = target.option("connect_timeout");
  request.only_token = only_token;
  request.at_terminal = at_terminal;
  request.hosts = hosts.get();
  request.host_count = target.host_count();
  return core->mint(&request);
}

void Connection::remember(const pqmint_answer* answer) const {
  const uint64_t call = Minted::next_call();
  for (size_t i = 0; i < target.host_count(); ++i) {
    const Host& host = target.hosts()[i];
    if (!answer->grants[i].managed) continue;
    Minted::remember(call, answer->grants[i].token, host.host, host.port, claims[i].spec.get());
    for (size_t route = 0; route < route_count; ++route) {
      if (routes[route].grant == i && routes[route].token() == 0) {
        routes[route].set_token(Minted::fingerprint(answer->grants[i].token));
      }
    }
  }
}

const Route* Connection::route_at(PGconn* conn_now) const {
  const char* host = libpq->host(conn_now);
  const char* port = libpq->port(conn_now);
  const char* password = libpq->pass(conn_now);
  const uint64_t token = given(password) ? Minted::fingerprint(password) : 0;
  const Route* first = nullptr;
  for (size_t i = 0; i < route_count; ++i) {
    const Route& route = routes[i];
    const char* shown = given(route.host.get()) ? route.host.get() : route.hostaddr.get();
    if (!same_text(shown, host) || !same_text(route.port.get(), port)) continue;
    if (route.token() == token) return &route;
    if (first == nullptr) first = &route;
  }
  return first;
}

void connections::add(Connection* connection) {
  if (!lock_registry()) return Connection::destroy(connection);
  follow_forks();
  Connection** at = slot_of(connection->conn);
  Connection* stale = unlink(at);
  connection->next = *at;
  *at = connection;
  __atomic_add_fetch(&g_registry.count, 1, __ATOMIC_RELAXED);
  unlock_registry();
  Connection::destroy(stale);
}

Connection* connections::find(const PGconn* conn) {
  if (__atomic_load_n(&g_registry.count, __ATOMIC_RELAXED) == 0) return nullptr;
  if (!lock_registry()) return nullptr;
  Connection* found = *slot_of(conn);
  unlock_registry();
  return found;
}

void connections::remove(const PGconn* conn, uint64_t number) {
  if (__atomic_load_n(&g_registry.count, __ATOMIC_RELAXED) == 0) return;
  if (!lock_registry()) return;
  Connection** at = slot_of(conn);
  Connection* found = *at && (number == 0 || (*at)->number == number) ? unlink(at) : nullptr;
  unlock_registry();
  Connection::destroy(found);
}

bool connections::has_token(const char* token, const char* host, const char* port, bool& is_its_host, Text& spec) {
  is_its_host = false;
  if (__atomic_load_n(&g_registry.count, __ATOMIC_RELAXED) == 0) return false;
  const uint64_t wanted = Minted::fingerprint(token);
  bool found = false;
  if (!lock_registry()) return false;
  for (const Connection* bucket : g_registry.buckets) {
    for (const Connection* each = bucket; each && !is_its_host; each = each->next) {
      bool has = false;
      for (size_t i = 0; i < each->route_count; ++i) has |= each->routes[i].token() == wanted;
      if (!has) continue;
      found = true;
      for (size_t i = 0; i < each->target.host_count() && !is_its_host; ++i) {
        const Host& own = each->target.hosts()[i];
        is_its_host = each->claims[i].wanted && same_text(own.host ? own.host : "", host ? host : "") &&
                      same_text(own.port, port);
        if (is_its_host) spec = copy_text(each->claims[i].spec.get());
      }
    }
  }
  unlock_registry();
  return found;
}

bool is_replaced_setting(const char* keyword) {
  static constexpr const char* kReplaced[] = {"host",        "hostaddr",   "port",
                                              "password",    "passfile",   "sslmode",
                                              "sslrootcert", "gssencmode", "target_session_attrs"};
  for (const char* replaced : kReplaced) {
    if (strcmp(keyword, replaced) == 0) return true;
  }
  return false;
}

}  // namespace pqmint
