// SPDX-License-Identifier: PostgreSQL
// Processes, folders and servers for the end-to-end tests.

#include "harness.h"

#include <errno.h>
#include <fcntl.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <set>
#include <sstream>
#include <stdexcept>

namespace pqmint::test {
namespace {

namespace fs = std::filesystem;
using Clock = std::chrono::steady_clock;

std::string required(const char* name) {
  const char* value = std::getenv(name);
  if (!value) throw std::runtime_error(std::string(name) + " is not set: run the tests with make test");
  return value;
}

struct Folders {
  std::vector<std::string> made;
  ~Folders() {
    for (const std::string& folder : made) {
      std::error_code ignored;
      fs::remove_all(folder, ignored);
    }
  }
};

struct Pipe {
  int read = -1, write = -1;
  Pipe() {
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) != 0) throw std::runtime_error("pipe2");
    read = ends[0];
    write = ends[1];
  }
  ~Pipe() {
    close_read();
    close_write();
  }
  void close_read() {
    if (read >= 0) close(read);
    read = -1;
  }
  void close_write() {
    if (write >= 0) close(write);
    write = -1;
  }
};

/// PQMINT_TEST_PRELOAD is a sanitizer's runtime. It must be there before the first module that needs it, in whatever
/// program loads that; initdb and PostgreSQL would take minutes with it. libfaketime hangs beside it.
void add_runtime(const std::string& program, std::vector<std::string>& variables) {
  const char* runtime = std::getenv("PQMINT_TEST_PRELOAD");
  if (!runtime || program == source("test/server/pqmint-testserver")) return;
  constexpr std::string_view kPreload = "LD_PRELOAD=";
  constexpr std::string_view kFaketime = "/usr/lib/x86_64-linux-gnu/faketime/libfaketime.so.1";
  std::string list = std::string(runtime) + ":" + built("test/e2e/libbeside_sanitizers.so");
  for (std::string& variable : variables) {
    if (variable.rfind(kPreload, 0) != 0) continue;
    list += ":" + variable.substr(kPreload.size());
    if (const size_t at = list.find(kFaketime); at != std::string::npos) list.erase(at, kFaketime.size());
    variable = std::string(kPreload) + list;
    return;
  }
  variables.push_back(std::string(kPreload) + list);
}

pid_t start(const std::vector<std::string>& argv, const Environment& environment, int in, int out, int err) {
  std::vector<std::string> variables = environment.list();
  add_runtime(argv[0], variables);
  std::vector<char*> args, env;
  for (const std::string& a : argv) args.push_back(const_cast<char*>(a.c_str()));
  for (const std::string& v : variables) env.push_back(const_cast<char*>(v.c_str()));
  args.push_back(nullptr);
  env.push_back(nullptr);
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_adddup2(&actions, in, 0);
  posix_spawn_file_actions_adddup2(&actions, out, 1);
  if (err >= 0) posix_spawn_file_actions_adddup2(&actions, err, 2);
  pid_t pid = -1;
  const int failure = posix_spawnp(&pid, args[0], &actions, nullptr, args.data(), env.data());
  posix_spawn_file_actions_destroy(&actions);
  if (failure != 0) throw std::runtime_error("cannot run " + argv[0] + ": " + strerror(failure));
  return pid;
}

int status_of(int wait_status) {
  return WIFEXITED(wait_status) ? WEXITSTATUS(wait_status) : 128 + WTERMSIG(wait_status);
}

// Made-up secrets of the tests, and what only a token has in it.
constexpr const char* kSecrets[] = {
    "wJalrXUtnFEMI/K7MDENG",
    "je7MtGbClwBF/2Zp9Utk",
    "tempSecretTempSecret",
    "FwoGZXIvYXdzEPT",
    "not-the-secret",
    "X-Amz-Signature",
    "X-Amz-Security-Token",
    "eyJ",
    "s3cret",
    "plainpw",
};

/// Every end-to-end test runs with all of the log switched on. None of its lines may hold a secret, nor anything that a
/// program said, nor what a program that pqmint started was told by its arguments and its environment.
class NothingShowsASecret : public ::testing::Environment {
 public:
  static constexpr const char* kTold = "what programs are told";

  static NothingShowsASecret& get() {
    static auto* const one = new NothingShowsASecret;  // gtest deletes it
    return *one;
  }
  static std::string log_in(const std::string& folder) { return folder + "/pqmint.log"; }
  void watch(const std::string& file, const char* what) { files_.push_back({file, what}); }
  /// What a program has from the test itself, it may tell those that it starts.
  void allow(const std::string& told) { own_.insert(told); }

  void search(const std::string& text, const std::string& what) {
    std::istringstream lines(text);
    for (std::string line; std::getline(lines, line); ++searched_[what]) {
      if (what == kTold && own_.count(line)) continue;
      for (const char* secret : kSecrets) EXPECT_EQ(line.find(secret), std::string::npos) << what << ": " << line;
    }
  }

  void TearDown() override {
    for (const auto& [file, what] : files_) {
      std::string text = read_file(file);
      std::replace(text.begin(), text.end(), '\0', '\n');  // as /proc parts them
      search(text, what);
    }
    for (const auto& [what, count] : searched_) std::printf("%zu lines of %s hold no secret\n", count, what.c_str());
  }

 private:
  std::vector<std::pair<std::string, const char*>> files_;
  std::set<std::string> own_;
  std::map<std::string, size_t> searched_;
};
const ::testing::Environment* const g_secrets = ::testing::AddGlobalTestEnvironment(&NothingShowsASecret::get());

/// libfaketime 0.9 makes two files in /dev/shm for each process. One that is killed leaves them there, and another that
/// gets its number later ends with "sem_open: File exists".
class NothingStaysInSharedMemory : public ::testing::Environment {
 public:
  void SetUp() override { sweep(); }
  void TearDown() override { sweep(); }

 private:
  static void sweep() {
    std::error_code ignored;
    for (const auto& each : fs::directory_iterator("/dev/shm", ignored)) {
      const std::string name = each.path().filename().string();
      if (name.find("faketime_s") == std::string::npos) continue;
      const pid_t owner = std::atoi(name.c_str() + name.rfind('_') + 1);
      if (owner > 0 && kill(owner, 0) != 0 && errno == ESRCH) fs::remove(each.path(), ignored);
    }
  }
};
const ::testing::Environment* const g_shared_memory =
    ::testing::AddGlobalTestEnvironment(new NothingStaysInSharedMemory);

}  // namespace

std::string make_folder() {
  static Folders folders;
  std::string name = (fs::temp_directory_path() / "pqmint-XXXXXX").string();
  if (!mkdtemp(name.data())) throw std::runtime_error("mkdtemp " + name);
  folders.made.push_back(name);
  return name;
}

std::string stage() {
  return required("PQMINT_STAGE");
}
std::string source(const std::string& path) {
  return required("PQMINT_SOURCE") + "/" + path;
}
std::string built(const std::string& path) {
  return required("PQMINT_BUILD") + "/" + path;
}

std::string read_file(const std::string& path) {
  std::ifstream file(path);
  std::stringstream text;
  text << file.rdbuf();
  return text.str();
}

void write_file(const std::string& path, const std::string& text, unsigned mode) {
  constexpr char kShell[] = "#!/bin/sh\n";
  if ((mode & S_IXUSR) && text.rfind(kShell, 0) == 0) {
    // A stand-in for a tool that pqmint starts: it notes down what it was told.
    const std::string seen = make_folder() + "/seen";
    NothingShowsASecret::get().watch(seen, NothingShowsASecret::kTold);
    std::ofstream(path) << kShell << "/bin/cat /proc/$$/environ /proc/$$/cmdline >>" << seen << " 2>/dev/null\n"
                        << text.substr(sizeof kShell - 1);
  } else {
    std::ofstream(path) << text;
  }
  chmod(path.c_str(), mode);
}

void allow_argument(const std::string& word) {
  NothingShowsASecret::get().allow(word);
}

Environment::Environment() : home_(make_folder()) {
  // The build's own sanitizer settings pass; all else is the test's.
  for (const char* name : {"TMPDIR", "ASAN_OPTIONS", "LSAN_OPTIONS", "UBSAN_OPTIONS", "TSAN_OPTIONS"}) {
    if (const char* value = std::getenv(name)) set(name, value);
  }
  const std::string log = NothingShowsASecret::log_in(home_);
  NothingShowsASecret::get().watch(log, "the log");
  set("PQMINT_LOG", "debug").set("PQMINT_LOG_FILE", log);
  set("PATH", "/usr/bin:/bin:/usr/sbin:/sbin")
      .set("HOME", home_)
      .set("LC_ALL", "C.UTF-8")
      .set("AWS_EC2_METADATA_DISABLED", "true")
      // Where a test forgets to say which fake it means, nobody answers: no packet may leave this machine.
      .set("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
      .set("AWS_EC2_METADATA_SERVICE_ENDPOINT", "http://127.0.0.1:9")
      .set("AZURE_POD_IDENTITY_AUTHORITY_HOST", "http://127.0.0.1:9");
}

Environment& Environment::set(const std::string& name, const std::string& value) {
  values_[name] = value;
  NothingShowsASecret::get().allow(name + "=" + value);
  return *this;
}

Environment& Environment::unset(const std::string& name) {
  values_.erase(name);
  return *this;
}

Environment& Environment::preload() {
  return set("LD_PRELOAD", stage() + "/lib/libpqmint.so");
}

Environment& Environment::keys() {
  return set("AWS_ACCESS_KEY_ID", kKeyId).set("AWS_SECRET_ACCESS_KEY", kSecretKey);
}

std::vector<std::string> Environment::list() const {
  std::vector<std::string> out;
  for (const auto& [name, value] : values_) out.push_back(name + "=" + value);
  return out;
}

namespace {
int g_wanted = 0;

bool is_asked_for_a_token(const std::vector<std::string>& argv) {
  return g_wanted > 0 || std::find(argv.begin(), argv.end(), "token") != argv.end();
}
}  // namespace

SecretsAreWanted::SecretsAreWanted() {
  ++g_wanted;
}
SecretsAreWanted::~SecretsAreWanted() {
  --g_wanted;
}

Outcome run(const std::vector<std::string>& argv, const Environment& environment, const std::string& input,
            int seconds) {
  Pipe in, out, err;
  const pid_t pid = start(argv, environment, in.read, out.write, err.write);
  in.close_read();
  out.close_write();
  err.close_write();
  // Inputs are short: they fit the pipe.
  if (!input.empty() && write(in.write, input.data(), input.size()) < 0) ADD_FAILURE() << "write to " << argv[0];
  in.close_write();
  Outcome outcome;
  const auto deadline = Clock::now() + std::chrono::seconds(seconds);
  bool late = false;
  pollfd ends[] = {{out.read, POLLIN, 0}, {err.read, POLLIN, 0}};
  for (int open = 2; open > 0 && !late;) {
    const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(deadline - Clock::now()).count();
    late = left <= 0 || poll(ends, 2, static_cast<int>(left)) == 0;
    for (pollfd& end : ends) {
      if (end.fd < 0 || !(end.revents & (POLLIN | POLLHUP))) continue;
      char buffer[65536];
      const ssize_t n = read(end.fd, buffer, sizeof buffer);
      if (n > 0) {
        (end.fd == out.read ? outcome.out : outcome.err).append(buffer, static_cast<size_t>(n));
      } else {
        end.fd = -1;
        --open;
      }
    }
  }
  if (late) {
    ADD_FAILURE() << argv[0] << " did not end within " << seconds << " s; stderr: " << outcome.err;
    kill(pid, SIGKILL);
  }
  int status = 0;
  waitpid(pid, &status, 0);
  outcome.status = late ? -1 : status_of(status);
  if (!is_asked_for_a_token(argv)) NothingShowsASecret::get().search(outcome.out, "standard output");
  NothingShowsASecret::get().search(outcome.err, "standard error");
  return outcome;
}

Process::Process(const std::vector<std::string>& argv, const Environment& environment)
    : errors_(make_folder() + "/stderr") {
  signal(SIGPIPE, SIG_IGN);
  Pipe in, out;
  const int err = open(errors_.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
  pid_ = start(argv, environment, in.read, out.write, err);
  close(err);
  in_ = std::exchange(in.write, -1);
  out_ = std::exchange(out.read, -1);
}

Process::~Process() {
  if (in_ >= 0) close(in_);
  if (pid_ > 0) {
    kill(pid_, SIGKILL);
    waitpid(pid_, nullptr, 0);
  }
  close(out_);
  // Whoever reads the test's own output shall see it too.
  const std::string errors = read_file(errors_);
  std::fputs(errors.c_str(), stderr);
  NothingShowsASecret::get().search(errors, "standard error");
}

void Process::write_line(const std::string& line) {
  const std::string text = line + "\n";
  if (write(in_, text.data(), text.size()) != static_cast<ssize_t>(text.size())) ADD_FAILURE() << "the child is gone";
}

std::string Process::read_line(int seconds, bool is_secret) {
  const auto deadline = Clock::now() + std::chrono::seconds(seconds);
  for (;;) {
    if (const size_t end = buffered_.find('\n'); end != std::string::npos) {
      std::string line = buffered_.substr(0, end);
      buffered_.erase(0, end + 1);
      if (!is_secret) NothingShowsASecret::get().search(line, "standard output");
      return line;
    }
    const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(deadline - Clock::now()).count();
    pollfd end = {out_, POLLIN, 0};
    char buffer[4096];
    ssize_t n = 0;
    if (left <= 0 || poll(&end, 1, static_cast<int>(left)) <= 0 || (n = read(out_, buffer, sizeof buffer)) <= 0) {
      ADD_FAILURE() << "no answer from the child";
      return "";
    }
    buffered_.append(buffer, static_cast<size_t>(n));
  }
}

int Process::finish() {
  close(std::exchange(in_, -1));
  int status = 0;
  waitpid(std::exchange(pid_, -1), &status, 0);
  return status_of(status);
}

namespace {
// PQMINT_TEST_LIBPQ names the folder of another libpq.so.5, so that all tests can be run over it by hand.
Environment with_library_path(Environment environment, std::string path) {
  if (const char* other = std::getenv("PQMINT_TEST_LIBPQ"); other && path.empty()) path = other;
  if (!path.empty()) environment.set("LD_LIBRARY_PATH", path);
  return environment;
}
}  // namespace

Client::Client(const Environment& environment, const std::string& library_path)
    : Process({built("test/e2e/client")}, with_library_path(environment, library_path)) {}

std::string Client::say(const std::vector<std::string>& words) {
  std::string line;
  for (const std::string& word : words) line += (line.empty() ? "" : "\t") + word;
  if (words[0] == "setenv") NothingShowsASecret::get().allow(words.at(1) + "=" + words.at(2));
  write_line(line);
  constexpr int kSeconds = 30;
  return read_line(kSeconds, words[0] == "pass");
}

Server& Server::get() {
  static Server server;
  return server;
}

Server::Server() : folder_(make_folder()) {
  chmod(folder_.c_str(), 0755);
  Environment environment;
  environment.set("PQMINT_TEST_MODULES", built("test/server"));
  const Outcome started =
      run({source("test/server/pqmint-testserver"), "start", folder_ + "/server"}, environment, "", 120);
  if (started.status != 0) throw std::runtime_error("the test server did not start: " + started.err);
  std::istringstream lines(read_file(folder_ + "/server/env"));
  for (std::string line; std::getline(lines, line);) {
    const size_t equals = line.find('=');
    if (equals == std::string::npos) continue;
    std::string text = line.substr(equals + 1);
    if (text.size() >= 2 && (text.front() == '\'' || text.front() == '"')) text = text.substr(1, text.size() - 2);
    values_[line.substr(0, equals)] = text;
  }
}

Server::~Server() {
  run({source("test/server/pqmint-testserver"), "stop", folder_ + "/server"}, Environment());
}

std::string Server::value(const std::string& name) const {
  const auto at = values_.find(name);
  return at == values_.end() ? "" : at->second;
}

int Server::port() const {
  return std::stoi(value("PQMINT_TEST_PORT"));
}

void Server::clock(const std::string& when) {
  const Outcome moved =
      run({source("test/server/pqmint-testserver"), "clock", folder_ + "/server", when}, Environment());
  EXPECT_EQ(moved.status, 0) << moved.err;
}

std::string Server::verdicts() {
  const std::string all = read_file(value("PQMINT_TEST_LOG"));
  const std::string fresh = all.substr(std::min(verdicts_read_, all.size()));
  verdicts_read_ = all.size();
  return fresh;
}

void Server::restart(const Environment& environment) {
  const Outcome done = run({source("test/server/pqmint-testserver"), "restart", folder_ + "/server"}, environment);
  EXPECT_EQ(done.status, 0) << done.err;
}

std::string Server::ask(const std::string& user, const std::string& password, const std::string& sql) const {
  const Outcome answer =
      run({kPsql, "-XAtqc", sql, conninfo("localhost", user, "password=" + password)}, Environment());
  return answer.out + answer.err;
}

Outcome Server::as_superuser(const std::string& sql, const std::string& database) const {
  return run({kPsql, "-XAtq", "-h", value("PQMINT_TEST_SOCKET_DIR"), "-p", std::to_string(port()), "-U", "postgres",
              "-d", database, "-c", sql},
             Environment());
}

std::string Server::administer(const std::string& sql, const std::string& database) {
  const Outcome done = as_superuser(sql, database);
  EXPECT_EQ(done.status, 0) << done.err;
  return done.out;
}

std::string Server::conninfo(const std::string& host, const std::string& user, const std::string& more) const {
  return "host=" + host + " hostaddr=127.0.0.1 port=" + std::to_string(port()) + " user=" + user +
         " dbname=app sslrootcert=" + ca() + " " + more;
}

FakePostgres::FakePostgres(const std::string& mode, bool tls, const std::string& address, int port)
    : FakePostgres(mode, tls ? Server::get().value("PQMINT_TEST_CERTIFICATE") : "",
                   tls ? Server::get().value("PQMINT_TEST_KEY") : "", address, port) {}

FakePostgres::FakePostgres(const std::string& mode, const std::string& certificate, const std::string& key,
                           const std::string& address, int port)
    : log_path_(make_folder() + "/log") {
  std::vector<std::string> argv = {
      built("test/fake/fake_pg"), "--mode=" + mode, "--log", log_path_, "--address", address, "--port",
      std::to_string(port)};
  if (!certificate.empty()) argv.insert(argv.end(), {"--cert", certificate, "--key", key});
  process_ = std::make_unique<Process>(argv, Environment());
  const std::string line = process_->read_line();
  if (line.rfind("port ", 0) != 0) throw std::runtime_error("fake_pg did not start: " + line);
  port_ = std::stoi(line.substr(5));
}

std::string FakePostgres::log() const {
  return read_file(log_path_);
}

}  // namespace pqmint::test
