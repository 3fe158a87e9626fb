// SPDX-License-Identifier: PostgreSQL
// The probe: libpq resolves the program's call for us and stops short of the network.

#include "preload/target.h"

#include <pwd.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <utility>

#include "base/libpq_integer.h"

namespace pqmint {
namespace {

// A value no setting accepts, long and odd enough to be recognised in an error text of any language.
constexpr const char* kBadValue = "~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~pqmint~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~";

// Checked after hosts, ports, user, password file and TLS settings, in 14 to 18.
constexpr const char* kCheckedLate = "target_session_attrs";
// Checked after even that, by 16 and later.
constexpr const char* kCheckedLater[] = {"load_balance_hosts", "min_protocol_version", "max_protocol_version",
                                         "scram_client_key", "scram_server_key"};
// Read as a number only when libpq comes to the first host, after every other check and before its name is looked up.
constexpr const char* kCheckedLast = "port";

// 97 commas make 98 ports, which match no host list that anybody writes: libpq says so before it fills in a user and a
// database that nobody named, and before it looks for a password file. So what was named can be told from what was not,
// and the file's name be learned without reading it.
constexpr const char* kTooManyPorts =
    ",,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,";

/// A PGconn that failed before any socket, finished when it goes.
class Probe {
 public:
  Probe(const Libpq& libpq, const Parameters& parameters) : libpq_(libpq) {
    conn_ = libpq.connect_start_params(parameters.keywords(), parameters.values(), parameters.expand_dbname);
  }
  ~Probe() {
    if (conn_) libpq_.finish(conn_);
  }
  Probe(const Probe&) = delete;
  Probe& operator=(const Probe&) = delete;

  /// Whether it was our bad value that stopped it, and not something the user wrote.
  bool stopped_by_us() const { return conn_ && strstr(libpq_.error_message(conn_), kBadValue) != nullptr; }
  PQconninfoOption* options() const { return conn_ ? libpq_.conninfo(conn_) : nullptr; }
  const char* password() const { return libpq_.pass(conn_); }
  /// Null when memory is out.
  const char* message() const { return conn_ ? libpq_.error_message(conn_) : nullptr; }

 private:
  const Libpq& libpq_;
  PGconn* conn_;
};

const char* value_of(const PQconninfoOption* options, const char* keyword) {
  for (const PQconninfoOption* o = options; o && o->keyword; ++o) {
    if (strcmp(o->keyword, keyword) == 0) return o->val;
  }
  return nullptr;
}

// Whether a service file has a say: libpq's defaults may then be anybody's.
bool asks_a_service(const Call& call) {
  return call.mentions("service") || given(getenv("PGSERVICE"));
}

// What libpq takes for it when nobody says anything.
bool is_default(const PQconninfoOption& option) {
  const bool same =
      option.val && option.compiled ? strcmp(option.val, option.compiled) == 0 : !option.val && !option.compiled;
  return same && (!option.envvar || !getenv(option.envvar));
}

PQconninfoOption* find(PQconninfoOption* options, const char* keyword) {
  for (PQconninfoOption* o = options; o && o->keyword; ++o) {
    if (strcmp(o->keyword, keyword) == 0) return o;
  }
  return nullptr;
}

// libpq ignores such a password file, and one that is no plain file, and complains on stderr each time it looks at it.
bool is_open_to_others(const char* path) {
  struct stat st;
  return stat(path, &st) == 0 && (!S_ISREG(st.st_mode) || (st.st_mode & (S_IRWXG | S_IRWXO)) != 0);
}

// Up to 14 libpq asks the password database for the home, HOME or no HOME.
bool default_password_file_is_open_to_others(const Libpq& libpq) {
  if (const char* named = getenv("PGPASSFILE"); given(named)) return is_open_to_others(named);
  char path[4096];
  const char* home = libpq.lib_version() < 150000 ? nullptr : getenv("HOME");
  if (!given(home)) {
    passwd entry;
    passwd* found = nullptr;
    char buffer[4096];
    if (getpwuid_r(geteuid(), &entry, buffer, sizeof buffer, &found) != 0 || !found) return false;
    return snprintf(path, sizeof path, "%s/.pgpass", found->pw_dir) < int{sizeof path} && is_open_to_others(path);
  }
  return snprintf(path, sizeof path, "%s/.pgpass", home) < int{sizeof path} && is_open_to_others(path);
}

// libpq warns on stderr about such a file whenever it looks there, so the probe must not look a second time.
bool password_file_is_open_to_others(const Libpq& libpq, const Call& call) {
  if (call.mentions("passfile") || asks_a_service(call)) {
    Parameters asking = call.parameters(1);
    if (!asking.ready()) return false;
    asking.add("port", kTooManyPorts);
    Probe probe(libpq, asking);
    PQconninfoOption* options = probe.options();
    const char* named = value_of(options, "passfile");
    const bool open = given(named) ? is_open_to_others(named) : default_password_file_is_open_to_others(libpq);
    if (options) libpq.conninfo_free(options);
    return open;
  }
  return default_password_file_is_open_to_others(libpq);
}

size_t count_entries(const char* list) {
  size_t n = 1;
  for (; *list; ++list) n += *list == ',';
  return n;
}

// Entry after entry of a comma-separated list, cut in place. Past the end it gives null.
const char* next_entry(char*& rest) {
  if (rest == nullptr) return nullptr;
  char* entry = rest;
  rest = strchr(rest, ',');
  if (rest) *rest++ = '\0';
  return *entry ? entry : nullptr;
}

}  // namespace

bool Host::is_socket() const {
  if (given(hostaddr)) return false;
  return !given(host) || *host == '/' || *host == '@';
}

bool Host::has_bad_port() const {
  int number;
  return !libpq_integer(port, number) || number < 1 || number > 65535;
}

Target::Target(Target&& other) noexcept
    : libpq_(other.libpq_),
      options_(std::exchange(other.options_, nullptr)),
      refusal_(std::move(other.refusal_)),
      password_(std::move(other.password_)),
      host_list_(std::move(other.host_list_)),
      hostaddr_list_(std::move(other.hostaddr_list_)),
      port_list_(std::move(other.port_list_)),
      hosts_(std::move(other.hosts_)),
      host_count_(std::exchange(other.host_count_, 0)),
      password_file_is_open_to_others_(other.password_file_is_open_to_others_),
      user_is_given_(other.user_is_given_),
      dbname_is_given_(other.dbname_is_given_) {}

Target::~Target() {
  if (password_) explicit_bzero(password_.get(), strlen(password_.get()));
  if (options_ == nullptr) return;
  if (PQconninfoOption* password = find(options_, "password"); password && password->val) {
    explicit_bzero(password->val, strlen(password->val));
  }
  libpq_->conninfo_free(options_);
}

bool Target::resolve(const Libpq& libpq, const Call& call) {
  libpq_ = &libpq;
  password_file_is_open_to_others_ = password_file_is_open_to_others(libpq, call);
  Parameters asking = call.parameters(2);
  if (!asking.ready()) return false;
  asking.add(kCheckedLate, kBadValue);
  if (password_file_is_open_to_others_) asking.add("passfile", kNoPasswordFile);
  Probe probe(libpq, asking);
  if (!probe.stopped_by_us()) {
    refusal_ = copy_text(probe.message());
    return false;
  }
  options_ = probe.options();
  password_ = copy_text(probe.password());
  if (options_ == nullptr || (probe.password() && !password_)) return false;
  split_hosts();
  return hosts_ != nullptr;
}

bool Target::complete_with_defaults(const Call& call) {
  // The second probe is also the one that lets libpq warn of such a file.
  if (password_file_is_open_to_others_ || call.mentions(kCheckedLate) || asks_a_service(call)) return false;
  for (const char* keyword : kCheckedLater) {
    const PQconninfoOption* later = find(options_, keyword);
    if (later && !is_default(*later)) return false;
  }
  PQconninfoOption* spoiled = find(options_, kCheckedLate);
  if (!spoiled || getenv(spoiled->envvar)) return false;
  char* value = spoiled->compiled ? strdup(spoiled->compiled) : nullptr;
  if (spoiled->compiled && !value) return false;
  free(spoiled->val);  // made by libpq's strdup
  spoiled->val = value;
  return true;
}

bool Target::complete(const Libpq& libpq, const Call& call, bool may_warn) {
  if (complete_with_defaults(call)) return true;
  Parameters asking = call.parameters(2);
  if (!asking.ready()) return false;
  asking.add(kCheckedLast, kBadValue);
  // It may look at a password file that is open to others: libpq's warning then stands once, as it should.
  if (password_file_is_open_to_others_ && !may_warn) asking.add("passfile", kNoPasswordFile);
  Probe probe(libpq, asking);
  if (!probe.stopped_by_us()) {
    refusal_ = copy_text(probe.message());
    return false;
  }
  PQconninfoOption* options = probe.options();
  if (options == nullptr) return false;
  // Each probe has what the other one spoiled.
  PQconninfoOption* spoiled = find(options, kCheckedLast);
  PQconninfoOption* whole = find(options_, kCheckedLast);
  if (spoiled && whole) std::swap(spoiled->val, whole->val);
  std::swap(options_, options);
  libpq.conninfo_free(options);
  return true;
}

const char* Target::option(const char* keyword) const {
  return value_of(options_, keyword);
}

void Target::look_for_names(const Libpq& libpq, const Call& call) {
  Parameters asking = call.parameters(1, kBadValue);
  if (!asking.ready()) return;
  asking.add("port", kTooManyPorts);
  Probe probe(libpq, asking);
  PQconninfoOption* options = probe.options();
  if (options == nullptr) return;
  const char* in_call = value_of(options, "user");
  user_is_given_ = given(in_call) && (strcmp(in_call, kBadValue) != 0 || user_is_given_outside_of_call());
  dbname_is_given_ = given(value_of(options, "dbname"));
  libpq.conninfo_free(options);
}

bool Target::user_is_given_outside_of_call() const {
  const char* user = option("user");
  if (same_text(getenv("PGUSER"), user)) return true;
  passwd entry;
  passwd* found = nullptr;
  char buffer[4096];
  const bool known = getpwuid_r(geteuid(), &entry, buffer, sizeof buffer, &found) == 0 && found;
  return !known || !same_text(found->pw_name, user);
}

void Target::split_hosts() {
  const char* host = option("host");
  const char* hostaddr = option("hostaddr");
  const char* port = option("port");
  const PQconninfoOption* port_option = find(options_, "port");
  const char* default_port = port_option && given(port_option->compiled) ? port_option->compiled : "5432";
  host_list_ = copy_text(given(host) ? host : "");
  hostaddr_list_ = copy_text(given(hostaddr) ? hostaddr : "");
  port_list_ = copy_text(given(port) ? port : "");
  if (!host_list_ || !hostaddr_list_ || !port_list_) return;
  // hostaddr decides how many there are; libpq has refused lists that do not match.
  host_count_ = count_entries(given(hostaddr) ? hostaddr : host_list_.get());
  hosts_ = zeroed_array<Host>(host_count_);
  if (!hosts_) return;
  const bool one_port = count_entries(port_list_.get()) == 1;
  char* hosts = host_list_.get();
  char* addresses = hostaddr_list_.get();
  char* ports = port_list_.get();
  const char* last_port = nullptr;
  for (size_t i = 0; i < host_count_; ++i) {
    if (i == 0 || !one_port) last_port = next_entry(ports);
    hosts_[i] = {next_entry(hosts), next_entry(addresses), last_port ? last_port : default_port};
  }
}

Text Target::password_file_entry(const Libpq& libpq, size_t index) const {
  if (password_file_is_open_to_others_) return nullptr;
  const Host& host = hosts_[index];
  const Setting only_this_host[] = {{"host", host.host ? host.host : ""},
                                    {"hostaddr", host.hostaddr ? host.hostaddr : ""},
                                    {"port", host.port},
                                    {"password", ""},
                                    {kCheckedLate, kBadValue}};
  Text conninfo = conninfo_of(options_, only_this_host, sizeof only_this_host / sizeof *only_this_host);
  Parameters asking(1);
  if (!conninfo || !asking.ready()) return nullptr;
  asking.add("dbname", conninfo.get());
  Probe probe(libpq, asking);
  if (!probe.stopped_by_us() || !given(probe.password())) return nullptr;
  return copy_text(probe.password());
}

Text conninfo_of(const PQconninfoOption* options, const Setting* overrides, size_t override_count) {
  const auto override_of = [&](const char* keyword) -> const Setting* {
    for (size_t i = 0; i < override_count; ++i) {
      if (strcmp(overrides[i].keyword, keyword) == 0) return &overrides[i];
    }
    return nullptr;
  };
  const bool has_service = given(value_of(options, "service")) || given(getenv("PGSERVICE"));
  // libpq knows its defaults by itself, and reads fewer words in less time.
  const auto must_be_said = [&](const PQconninfoOption& o) {
    return o.val && (has_service || !is_default(o)) && !override_of(o.keyword);
  };
  const auto each = [&](auto&& say) {
    for (const PQconninfoOption* o = options; o->keyword; ++o) {
      if (must_be_said(*o)) say(o->keyword, o->val);
    }
    for (size_t i = 0; i < override_count; ++i) {
      if (overrides[i].value) say(overrides[i].keyword, overrides[i].value);
    }
  };
  size_t most = 1;
  // keyword='value' and a blank, every character of the value escaped at worst.
  each([&](const char* keyword, const char* value) { most += strlen(keyword) + 2 * strlen(value) + 4; });
  Text out(static_cast<char*>(malloc(most)));
  if (!out) return out;
  char* at = out.get();
  each([&](const char* keyword, const char* value) {
    at = stpcpy(stpcpy(at, keyword), "='");
    for (; *value; ++value) {
      if (*value == '\'' || *value == '\\') *at++ = '\\';
      *at++ = *value;
    }
    at = stpcpy(at, "' ");
  });
  *at = '\0';
  return out;
}

}  // namespace pqmint
