// SPDX-License-Identifier: PostgreSQL
// A ring of fingerprints of minted tokens, with the host and the spec that each was made for.

#include "preload/minted.h"

#include <pthread.h>

#include <utility>

namespace pqmint {
namespace {

// A pool of a few hundred connections may each hand its token back; older ones are still known by their shape.
constexpr size_t kRemembered = 1024;

struct Entry {
  uint64_t fingerprint;
  uint64_t call;  // 0: free
  Text host, port, spec;
};

struct Ring {
  pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
  Entry* entries = nullptr;
  size_t next = 0;
  uint64_t calls = 0;
};

constinit Ring g_ring;

class Locked {
 public:
  Locked() {
    pthread_mutex_lock(&g_ring.lock);
    static constinit bool follows_forks = false;  // under the lock
    if (!follows_forks) follows_forks = pthread_atfork(lock, unlock, unlock) == 0;
  }
  ~Locked() { unlock(); }

 private:
  static void lock() { pthread_mutex_lock(&g_ring.lock); }
  static void unlock() { pthread_mutex_unlock(&g_ring.lock); }
};

const Entry* find(uint64_t wanted) {
  for (size_t i = 0; g_ring.entries && i < kRemembered; ++i) {
    const Entry& entry = g_ring.entries[i];
    if (entry.call != 0 && entry.fingerprint == wanted) return &entry;
  }
  return nullptr;
}

}  // namespace

// An adversary could only make his own password count as none.
uint64_t Minted::fingerprint(const char* token) {
  return fingerprint_of(token);
}

uint64_t Minted::next_call() {
  Locked locked;
  return ++g_ring.calls;
}

void Minted::remember(uint64_t call, const char* token, const char* host, const char* port, const char* spec) {
  Locked locked;
  if (!g_ring.entries) g_ring.entries = static_cast<Entry*>(calloc(kRemembered, sizeof(Entry)));
  if (!g_ring.entries) return;  // the shape of the token still tells what it is
  Entry& entry = g_ring.entries[g_ring.next];
  g_ring.next = (g_ring.next + 1) % kRemembered;
  entry.fingerprint = fingerprint(token);
  entry.call = call;
  entry.host = copy_text(host ? host : "");
  entry.port = copy_text(port);
  entry.spec = copy_text(spec);
}

bool Minted::knows(const char* token) {
  Locked locked;
  return find(Minted::fingerprint(token)) != nullptr;
}

bool Minted::was_made_for(const char* token, const char* host, const char* port, Text* spec) {
  Locked locked;
  const Entry* made = find(Minted::fingerprint(token));
  if (!made) return false;
  for (size_t i = 0; i < kRemembered; ++i) {
    const Entry& entry = g_ring.entries[i];
    if (entry.call == made->call && same_text(entry.host.get(), host) && same_text(entry.port.get(), port)) {
      *spec = copy_text(entry.spec.get());
      return true;
    }
  }
  return false;
}

}  // namespace pqmint
