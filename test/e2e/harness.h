// SPDX-License-Identifier: PostgreSQL
// What the end-to-end tests share: processes, a client that is told what to do, and the server that judges tokens.
#pragma once

#include <sys/types.h>

#include <map>
#include <memory>
#include <string>
#include <vector>

namespace pqmint::test {

/// Where the build laid the installation out, and where the sources are. From the environment that meson sets.
std::string stage();
std::string source(const std::string& path);
std::string built(const std::string& path);

/// An environment without a trace of the machine's own: no AWS_*, no PG*, HOME in a folder of the test's.
class Environment {
 public:
  Environment();
  Environment& set(const std::string& name, const std::string& value);
  Environment& unset(const std::string& name);
  /// LD_PRELOAD of the staged library.
  Environment& preload();
  /// The made-up keys that the server knows.
  Environment& keys();
  std::vector<std::string> list() const;
  const std::string& home() const { return home_; }

 private:
  std::map<std::string, std::string> values_;
  std::string home_;
};

struct Outcome {
  int status = -1;  // exit status, or 128 + signal, or -1 after the deadline
  std::string out, err;
};

/// Runs a program to its end, without a shell, with nothing on stdin (or `input`). Killed after `seconds`.
Outcome run(const std::vector<std::string>& argv, const Environment& environment, const std::string& input = "",
            int seconds = 60);

/// A child process with pipes, killed when it goes.
class Process {
 public:
  Process(const std::vector<std::string>& argv, const Environment& environment);
  ~Process();
  Process(const Process&) = delete;
  Process& operator=(const Process&) = delete;
  void write_line(const std::string& line);
  /// The next line of stdout without its end; fails the test and gives "" after `seconds`. No secret may stand in it,
  /// unless the test asked for one.
  std::string read_line(int seconds = 30, bool is_secret = false);
  /// Closes stdin and waits; the exit status.
  int finish();
  pid_t pid() const { return pid_; }

 private:
  pid_t pid_;
  int in_, out_;
  std::string errors_;  // the file that has what it wrote to stderr
  std::string buffered_;
};

/// test/e2e/client.cc, told one thing after another: see there for its words.
class Client : public Process {
 public:
  explicit Client(const Environment& environment, const std::string& library_path = "");
  /// Says a line of words (tab-separated) and gives the answer.
  std::string say(const std::vector<std::string>& words);
};

/// One real PostgreSQL with TLS and the PAM module that judges, for the whole test program. Started at first use.
class Server {
 public:
  static Server& get();
  int port() const;
  std::string ca() const { return value("PQMINT_TEST_CA"); }
  std::string value(const std::string& name) const;
  void clock(const std::string& when);  // "+900", "real" or seconds since the epoch
  /// The lines that the judge wrote since the last call.
  std::string verdicts();
  /// Starts PostgreSQL anew, in this environment: as if a unit file had set it.
  void restart(const Environment& environment);
  /// Runs SQL as the superuser over the local socket: what psql says of it.
  Outcome as_superuser(const std::string& sql, const std::string& database = "app") const;
  /// The same where it must succeed: the rows.
  std::string administer(const std::string& sql, const std::string& database = "app");
  /// Runs SQL as `user` over TCP with a password, and gives rows or the error.
  std::string ask(const std::string& user, const std::string& password, const std::string& sql) const;
  /// "host=NAME hostaddr=127.0.0.1 port=... user=... dbname=app sslrootcert=..." and what follows.
  std::string conninfo(const std::string& host, const std::string& user, const std::string& more = "") const;
  ~Server();

 private:
  Server();
  std::string folder_;
  std::map<std::string, std::string> values_;
  size_t verdicts_read_ = 0;
};

/// test/fake/fake_pg in one of its modes.
class FakePostgres {
 public:
  /// With the certificate of Server, or without TLS; on a port of its own, or where a test says.
  FakePostgres(const std::string& mode, bool tls, const std::string& address = "127.0.0.1", int port = 0);
  FakePostgres(const std::string& mode, const std::string& certificate, const std::string& key,
               const std::string& address = "127.0.0.1", int port = 0);
  int port() const { return port_; }
  std::string log() const;

 private:
  std::string log_path_;
  std::unique_ptr<Process> process_;
  int port_ = 0;
};

std::string read_file(const std::string& path);
/// A script that may be run also notes down its environment and arguments, which are searched for secrets at the end.
void write_file(const std::string& path, const std::string& text, unsigned mode = 0600);
/// The test itself has pqmint start a program with this argument: no finding, though it looks like a secret.
void allow_argument(const std::string& word);
/// While one lives, programs may say secrets to stdout: the test asks for them.
struct SecretsAreWanted {
  SecretsAreWanted();
  ~SecretsAreWanted();
};
std::string make_folder();  // removed when the program ends

// The names that the server has a certificate for.
inline constexpr char kWriter[] = "orders.cluster-c9akciq32.eu-west-1.rds.amazonaws.com";
inline constexpr char kReader[] = "orders.cluster-ro-c9akciq32.eu-west-1.rds.amazonaws.com";
inline constexpr char kInstance[] = "orders-1.c9akciq32.eu-west-1.rds.amazonaws.com";
inline constexpr char kDsql[] = "4yabutd7fnzkcqmqfdhogf3k6u.dsql.us-east-1.on.aws";
// The keys that it knows, as test/server/pqmint-testserver has them.
inline constexpr char kKeyId[] = "AKIAIOSFODNN7EXAMPLE";
inline constexpr char kSecretKey[] = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY";
inline constexpr char kPsql[] = "/usr/lib/postgresql/15/bin/psql";
inline constexpr char kBin[] = "/usr/lib/postgresql/15/bin/";

}  // namespace pqmint::test
