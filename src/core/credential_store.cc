// SPDX-License-Identifier: PostgreSQL
// What was fetched is kept: one entry for each identity, one fetch at a time for each entry.

#include "core/credential_store.h"

#include <linux/futex.h>
#include <openssl/evp.h>
#include <pthread.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <list>
#include <mutex>
#include <optional>
#include <string>

#include "core/clock.h"

namespace pqmint {
namespace {

/// botocore's advisory window. (spec/aws.md 4.12)
constexpr int64_t kAdvisory = 15 * 60;  // s
/// Go's and CRT's early refresh: below it a token would hardly outlive a slow login.
constexpr int64_t kMandatory = 5 * 60;  // s
/// Some sources give keys that live less than the windows. They are not asked again at each connection.
constexpr int64_t kBetweenRefreshes = 60;  // s
/// After an early renewal of a token that failed, the old one serves for this long before the next try.
constexpr int64_t kAfterFailure = 30;  // s
/// Who has this much more time than another had may see another end. Time limits are whole seconds.
constexpr std::chrono::seconds kMorePatience{1};
/// How long it is believed that there is no metadata service; and how long that a developer's tool is not logged in,
/// which its user may be mending just now.
constexpr int64_t kAbsenceHolds = 60;     // s
constexpr int64_t kToolAbsenceHolds = 5;  // s
/// More identities than this in one process throw out the one that nobody has asked for the longest.
constexpr size_t kMostEntries = 64;

using Fingerprint = std::array<unsigned char, 32>;
using Fetch = std::shared_ptr<const FetchedCredentials>;
using Moment = std::chrono::steady_clock::time_point;

/// A fetch that brought nothing: an error, or an absence.
struct Miss {
  Result<Fetch> answer;
  Moment at;
  std::chrono::nanoseconds patience;  // of the caller that fetched
  int64_t holds;                      // seconds; 0: for those only who have waited for it
};

struct Entry {
  Fingerprint plan;
  int64_t absence_holds;  // seconds
  bool is_renewed_early;  // a command's token is not: its life is what the user said, and may be seconds
  Fetch kept = nullptr;   // keys or a token, never an absence
  std::optional<Miss> miss = std::nullopt;  // if the last fetch was one
  int64_t asked_at = 0;                     // server_now() when the last fetch ended
  pid_t fetching = 0;  // the process in which a thread fetches now; a child of fork() has no such thread
};

class Store {
 public:
  std::mutex mutex;
  std::list<Entry> entries;            // the one that was not asked for longest first
  std::atomic<uint32_t> landings = 0;  // goes up when a fetch has ended: what waiters sleep on

  Entry& entry(const Fingerprint& identity, const CredentialPlan& plan) {
    const auto found = std::ranges::find(entries, identity, &Entry::plan);
    if (found != entries.end()) {
      entries.splice(entries.end(), entries, found);
      return *found;
    }
    if (entries.size() >= kMostEntries) {
      const pid_t process = getpid();
      const auto idle = std::ranges::find_if(entries, [&](const Entry& entry) { return entry.fetching != process; });
      if (idle != entries.end()) entries.erase(idle);
    }
    const bool is_tool = plan.source.starts_with("azure-");
    return entries.emplace_back(Entry{identity, is_tool ? kToolAbsenceHolds : kAbsenceHolds, plan.source != "command"});
  }
};

// Made at first use and never torn down: an exit handler of the host's may still connect.
constinit std::atomic<Store*> g_store = nullptr;

void before_fork() {
  g_store.load()->mutex.lock();
}
void after_fork() {
  g_store.load()->mutex.unlock();
}

Store& store() {
  Store* store = g_store.load(std::memory_order_acquire);
  if (store != nullptr) return *store;
  auto made = std::make_unique<Store>();
  if (!g_store.compare_exchange_strong(store, made.get(), std::memory_order_acq_rel)) return *store;
  // A fork between the two lines is one of a store that nobody has used yet.
  pthread_atfork(before_fork, after_fork, after_fork);
  return *made.release();
}

// A futex has no state but the number itself, so it works on in a child of fork(). A condition variable would count
// waiters that the child does not have.
void sleep_until_landing(Store& store, uint32_t seen, const Deadline& deadline) {
  const auto left = deadline.left();
  const timespec time = {left.count() / 1000, left.count() % 1000 * 1'000'000};
  syscall(SYS_futex, &store.landings, FUTEX_WAIT_PRIVATE, seen, &time, nullptr, 0);
}

void tell_of_landing(Store& store) {
  store.landings.fetch_add(1, std::memory_order_release);
  syscall(SYS_futex, &store.landings, FUTEX_WAKE_PRIVATE, INT_MAX, nullptr, nullptr, 0);
}

// The others must be told whatever happens: memory may run out while an error is noted down.
struct Landing {
  Store& store;
  ~Landing() { tell_of_landing(store); }
};

// --- which identity

void append(Secret& out, std::string_view text) {
  out.append(std::to_string(text.size())).append(":").append(text);
}

void append(Secret& out, const CredentialPlan& plan) {
  append(out, plan.source);
  append(out, plan.name);
  if (plan.keys) {
    append(out, plan.keys->access_key_id);
    append(out, plan.keys->secret_access_key.reveal());
    append(out, plan.keys->session_token.reveal());
  }
  for (const auto& [name, value] : plan.settings) {
    append(out, name);
    append(out, value.reveal());
  }
  if (plan.signer) append(out, *plan.signer);
}

/// Nothing if OpenSSL fails: no two plans may look the same.
std::optional<Fingerprint> fingerprint(const CredentialPlan& plan) {
  Secret text;
  append(text, plan);
  Fingerprint out;
  if (EVP_Q_digest(nullptr, "SHA256", nullptr, text.c_str(), text.size(), out.data(), nullptr) != 1) return {};
  return out;
}

// --- what is at hand

bool lives(const Entry& entry, int64_t now) {
  return entry.kept && (entry.kept->expires == 0 || entry.kept->expires > now);
}

bool is_within(const Entry& entry, int64_t window, int64_t now) {
  return entry.kept->expires != 0 && entry.kept->expires - now <= window;
}

bool is_refresh_due(const Entry& entry, int64_t now) {
  if (!entry.is_renewed_early) return false;
  const int64_t asked_ago = now - entry.asked_at;
  // Entra says itself when; in its last 5 minutes a token is no longer taken for fresh (spec/azure.md 2.7).
  if (!entry.kept->token.empty()) {
    const bool is_just_asked = asked_ago < kAfterFailure;
    const bool soft = entry.kept->refresh_at != 0 && now >= entry.kept->refresh_at && !is_just_asked;
    return soft || (is_within(entry, kMandatory, now) && !(is_just_asked && entry.miss));
  }
  return is_within(entry, kAdvisory, now) && asked_ago >= kBetweenRefreshes;
}

/// Whether a miss answers this caller, too. Not who has more time left than there was then: time may be all it lacked.
bool is_for(const Patience& patience, const Miss& miss, int64_t age) {
  const bool has_waited = miss.at >= patience.since;
  const bool is_believed = age >= 0 && age < miss.holds;
  const auto left = patience.deadline.at() - std::chrono::steady_clock::now();
  return (has_waited || is_believed) && left < miss.patience + kMorePatience;
}

/// The answer that needs no fetch. Nothing: somebody must fetch, this caller if no other does.
std::optional<Result<Fetch>> at_hand(const Entry& entry, bool is_fetching, const CredentialPlan& plan,
                                     const Patience& patience) {
  const int64_t now = server_now();
  const bool waited_enough = is_fetching && patience.deadline.over();
  if (lives(entry, now)) {
    const bool others_may_go_on = is_fetching && !is_within(entry, kMandatory, now);
    if (!is_refresh_due(entry, now) || others_may_go_on || waited_enough) return entry.kept;
  } else if (entry.miss && is_for(patience, *entry.miss, now - entry.asked_at)) {
    return entry.miss->answer;
  } else if (waited_enough) {
    return Error{"another thread is fetching credentials by " + plan.source +
                 " and was not done in time; raise connect_timeout"};
  }
  return std::nullopt;
}

// --- the fetch

Result<Fetch> fetch(const CredentialPlan& plan, const Patience& patience) try {
  Fetch signer;
  if (plan.signer && !plan.signer->keys) {
    auto fetched = stored_credentials(*plan.signer, patience);
    if (!fetched) return fetched.error();
    signer = std::move(*fetched);
    if (signer->is_absent) return Error{"no keys to assume the role with: " + signer->text};
  }
  const Credentials* keys = signer ? &signer->keys : plan.signer ? &*plan.signer->keys : nullptr;
  auto fetched = fetch_credentials(plan, keys, patience.deadline);
  if (!fetched) return fetched.error();
  return Fetch(std::make_shared<const FetchedCredentials>(std::move(*fetched)));
} catch (const std::bad_alloc&) {
  return Error{"memory is out"};  // the flight must land all the same
}

/// What a fetch leaves behind, and gives its own caller. One that brought nothing takes nothing away: what lives is as
/// good as it was, and beside it an absence is no more than a failure, which is not remembered.
Result<Fetch> land(Entry& entry, Result<Fetch> answer, const Patience& patience) {
  entry.fetching = 0;
  entry.asked_at = server_now();
  if (answer && !(*answer)->is_absent) {
    entry.kept = *answer;
    entry.miss.reset();
    return answer;
  }
  const bool still_lives = lives(entry, entry.asked_at);
  const int64_t holds = answer && !still_lives ? entry.absence_holds : 0;
  entry.miss =
      Miss{std::move(answer), std::chrono::steady_clock::now(), patience.deadline.at() - patience.since, holds};
  return still_lives ? Result<Fetch>(entry.kept) : entry.miss->answer;
}

}  // namespace

Result<Fetch> stored_credentials(const CredentialPlan& plan, const Patience& patience) {
  const auto identity = fingerprint(plan);
  if (!identity)
    return Error{"OpenSSL could not compute SHA-256; is it restricted by its configuration (OPENSSL_CONF)?"};
  const pid_t process = getpid();
  Store& store = pqmint::store();
  std::unique_lock lock(store.mutex);
  for (;;) {
    Entry& entry = store.entry(*identity, plan);
    const bool is_fetching = entry.fetching == process;
    if (auto answer = at_hand(entry, is_fetching, plan, patience)) return std::move(*answer);
    if (!is_fetching) {
      entry.fetching = process;
      break;
    }
    const uint32_t seen = store.landings.load(std::memory_order_acquire);
    lock.unlock();
    sleep_until_landing(store, seen, patience.deadline);
    lock.lock();
  }
  lock.unlock();

  auto answer = fetch(plan, patience);
  const Landing landing{store};
  lock.lock();
  return land(store.entry(*identity, plan), std::move(answer), patience);
}

void forget_credentials(const CredentialPlan& plan, Moment fetched_at) {
  const auto identity = fingerprint(plan);
  if (!identity) return;
  Store& store = pqmint::store();
  const std::lock_guard lock(store.mutex);
  const auto found = std::ranges::find(store.entries, *identity, &Entry::plan);
  if (found == store.entries.end() || !found->kept || found->kept->at > fetched_at) return;
  // The entry stays: a thread may be fetching for it.
  found->kept = nullptr;
}

}  // namespace pqmint
