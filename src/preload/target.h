// SPDX-License-Identifier: PostgreSQL
// What libpq would connect to: a call comes in, libpq's own resolution of it goes out, before any socket is opened.
//
// pqmint never parses a conninfo, URI, service file or environment. It asks the real libpq to start the same connection
// with one bad value put last, which libpq refuses only after it has resolved everything else and before it opens a
// socket. Works alike on libpq 14 to 18 and costs 8 to 14 us.
#pragma once

#include <stddef.h>

#include "preload/call.h"
#include "preload/libpq.h"
#include "preload/memory.h"

namespace pqmint {

/// One entry of libpq's host list. Strings live in the Target. `port` is never empty; host or hostaddr may be null.
struct Host {
  const char* host;
  const char* hostaddr;
  const char* port;

  /// A local socket: no host at all, a path, or an abstract name. No TLS there, so never a token.
  bool is_socket() const;

  /// Whether libpq will refuse its port. It says so only when it comes to that host, and may go on to the next one.
  bool has_bad_port() const;
};

/// libpq's effective settings for one call, after service file, environment and defaults. Owns what it shows.
class Target {
 public:
  Target() = default;
  Target(Target&& other) noexcept;
  Target& operator=(Target&&) = delete;
  ~Target();

  /// Asks libpq. False when libpq itself refuses the call (it will say why when it is called plainly), or memory is
  /// out.
  bool resolve(const Libpq& libpq, const Call& call);

  /// libpq's own message when it was libpq that refused the call in resolve() or complete(); null otherwise.
  const char* refusal() const { return refusal_.get(); }

  /// The value libpq would use, or null. "password" is what was given, not what a password file holds.
  const char* option(const char* keyword) const;

  const Host* hosts() const { return hosts_.get(); }
  size_t host_count() const { return host_count_; }

  /// The password that libpq found for the first host: given, or out of the password file. Null if none.
  const char* password() const { return password_.get(); }

  /// What the password file holds for host `index` when no password is given; null if nothing. Asks libpq again.
  Text password_file_entry(const Libpq& libpq, size_t index) const;

  /// The probe hides the user's target_session_attrs behind its bad value, and what libpq checks after it. This brings
  /// the value back and lets libpq check the rest: by a second probe, which spoils the port, unless all of it stands at
  /// libpq's defaults. That probe `may_warn` of a password file, as libpq does. False: as for resolve().
  bool complete(const Libpq& libpq, const Call& call, bool may_warn);

  /// Finds out who named the user and the database, for the two below. Asks libpq again.
  void look_for_names(const Libpq& libpq, const Call& call);

  /// Whether anybody named the user: the call, PGUSER or the service file. Otherwise it is the name that the operating
  /// system has for this process. (A service file that names just that one counts as silent.) An empty name is none, as
  /// for libpq. True before look_for_names().
  bool user_is_given() const { return user_is_given_; }

  /// Whether anybody named the database. Otherwise it has the user's name. True before look_for_names().
  bool dbname_is_given() const { return dbname_is_given_; }

  const PQconninfoOption* options() const { return options_; }

 private:
  void split_hosts();
  bool complete_with_defaults(const Call& call);
  bool user_is_given_outside_of_call() const;

  const Libpq* libpq_ = nullptr;
  PQconninfoOption* options_ = nullptr;
  Text refusal_;
  Text password_;
  Text host_list_, hostaddr_list_, port_list_;  // split in place; Host points into them
  Array<Host> hosts_;
  size_t host_count_ = 0;
  bool password_file_is_open_to_others_ = false;
  bool user_is_given_ = true;
  bool dbname_is_given_ = true;
};

/// libpq takes a password file that does not exist for none, without a word.
inline constexpr const char* kNoPasswordFile = "/proc/self/fd/-1";

/// A setting that replaces or completes the target's own.
struct Setting {
  const char* keyword;
  const char* value;
};

/// One conninfo string that means all that `options` say, in this environment, with `overrides` in place of their
/// namesakes. As a string, because only there does an empty value count: password='' keeps PGPASSWORD out. Null when
/// memory is out.
Text conninfo_of(const PQconninfoOption* options, const Setting* overrides, size_t override_count);

}  // namespace pqmint
