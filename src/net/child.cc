// SPDX-License-Identifier: PostgreSQL
// Programs that pqmint asks for a credential.
//
// Between the host and the program stands a keeper: a copy of this process made by a bare clone() whose end raises no
// signal, so that neither the host's SIGCHLD handler nor its waitpid(-1) ever hears of it. (An exec would turn the
// signal back into SIGCHLD; that is why the keeper execs nothing, and the program is the keeper's child.) The keeper
// leads a session of its own: a group by which all of it is ended, and no terminal at which a program could wait for
// a password until the deadline.

#include "net/child.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <filesystem>

#include "base/descriptor.h"
#include "base/loader_list.h"
#include "base/log.h"
#include "base/text.h"
#include "base/transfer.h"

namespace pqmint {
namespace {

constexpr size_t kMaxOutput = 1 << 20;
constexpr size_t kMaxComplaint = 16 << 10;
/// A program that leaves something running behind keeps its stdout open. What it wrote itself is there by then.
constexpr std::chrono::milliseconds kGrace{100};

// --- what to run, made ready beforehand: between clone and exec nothing may be allocated

bool is_executable_file(const std::string& path) {
  struct stat info;
  return stat(path.c_str(), &info) == 0 && S_ISREG(info.st_mode) && access(path.c_str(), X_OK) == 0;
}

/// The program's path; empty with the fault if there is none.
std::string find_program(const std::string& name, ChildOutcome::Fault& fault) {
  fault = ChildOutcome::Fault::kNotFound;
  const auto accept = [&](const std::string& path) {
    if (is_executable_file(path)) return true;
    if (access(path.c_str(), F_OK) == 0) fault = ChildOutcome::Fault::kNotExecutable;
    return false;
  };
  if (name.find('/') != name.npos) {
    // The program may start in another folder than the host's.
    std::error_code error;
    const std::string path = std::filesystem::absolute(name, error);
    return !error && accept(path) ? path : "";
  }
  const char* path = getenv("PATH");
  std::string_view rest = path != nullptr ? path : "/usr/bin:/bin";
  for (;;) {
    const size_t end = std::min(rest.find(':'), rest.size());
    // The current folder is no place to look for programs that get credentials.
    if (rest.starts_with('/')) {
      const std::string candidate = std::string(rest.substr(0, end)) + "/" + name;
      if (accept(candidate)) return candidate;
    }
    if (end == rest.size()) return "";
    rest.remove_prefix(end + 1);
  }
}

std::string_view variable(const char* name) {
  const char* value = getenv(name);
  return value != nullptr ? value : "";
}

/// How many programs that pqmint has started stand above this process, one started by the next.
constexpr char kDepth[] = "PQMINT_DEPTH";
/// A command may well ask pqmint for another token (a role's keys, a password of another server); no honest one needs
/// more floors than this. One that asks for its own token would else start programs until the deadline. (The AWS CLI
/// has a guard of the same height, spec/aws.md 4.9.)
constexpr unsigned kMostDepth = 4;

unsigned depth() {
  const std::string_view text = variable(kDepth);
  unsigned value = 0;
  const auto [end, failure] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (failure == std::errc::result_out_of_range) return kMostDepth;
  return failure == std::errc() && end == text.data() + text.size() ? value : 0;
}

/// Asks pqmint for a token wherever libpq takes a password: a program that asks pqmint for another one would find it
/// too, and ask for its own.
bool is_token_spec(std::string_view name, std::string_view value) {
  return (name == "PGPASSWORD" || name == "PGPASSFILE") && value.starts_with("pqmint:");
}

std::vector<std::string> environment_for(const std::vector<std::string>& more) {
  const auto name_of = [](std::string_view entry) { return entry.substr(0, entry.find('=')); };
  size_t count = 0;
  while (environ != nullptr && environ[count] != nullptr) ++count;
  std::vector<std::string> out;
  // At once: a short text that moves leaves its bytes behind.
  out.reserve(more.size() + 1 + count);
  std::ranges::copy_if(more, std::back_inserter(out),
                       [](const std::string& each) { return each.find('=') != each.npos; });
  out.push_back(std::string(kDepth) + "=" + std::to_string(depth() + 1));
  for (char** entry = environ; entry != nullptr && *entry != nullptr; ++entry) {
    const std::string_view text = *entry;
    const std::string_view name = name_of(text);
    const std::string_view value = text.substr(std::min(name.size() + 1, text.size()));
    if (name == kDepth || is_token_spec(name, value)) continue;
    if (std::ranges::any_of(more, [&](const std::string& each) { return name_of(each) == name; })) continue;
    if (name == "LD_PRELOAD" || name == "LD_LIBRARY_PATH") {
      std::string kept(value);
      take_out_ours(kept.data(), name == "LD_PRELOAD" ? LoaderList::kPreload : LoaderList::kLibraryPath);
      if (*kept.c_str() != '\0') out.push_back(std::string(name) + "=" + kept.c_str());
    } else {
      out.emplace_back(text);
    }
  }
  return out;
}

/// The host's environment and the words of its commands, which hold what secrets they may.
struct Wiped {
  std::vector<std::string> texts;

  ~Wiped() {
    for (std::string& text : texts) explicit_bzero(text.data(), text.size());
  }
};

std::vector<char*> pointers(std::vector<std::string>& texts) {
  std::vector<char*> out;
  for (std::string& text : texts) out.push_back(text.data());
  out.push_back(nullptr);
  return out;
}

// --- the keeper and the program: only bare system calls, for other threads' locks may be taken for good here

/// In place of a status as waitpid() gives it.
constexpr int kNoProgram = -1;
constexpr int kNotExecuted = -2;

struct Launch {
  const char* path;
  char* const* argv;
  char* const* envp;
  const char* folder;  // null: the host's
  int null_fd;
  int output_fd;
  int error_fd;
  int status_fd;
};

long bare_clone(unsigned long flags) {
  return syscall(SYS_clone, flags, nullptr, nullptr, nullptr, nullptr);
}

/// Where the kernel has no close_range() (before 5.9), as far as a walk is bearable.
constexpr rlim_t kMaxWalk = 65536;

void close_between(unsigned first, unsigned last) {
  if (first > last || syscall(SYS_close_range, first, last, 0) == 0) return;
  rlimit limit = {};
  getrlimit(RLIMIT_NOFILE, &limit);
  last = std::min(last, static_cast<unsigned>(std::min(limit.rlim_cur, kMaxWalk)));
  for (unsigned fd = first; fd <= last; ++fd) close(static_cast<int>(fd));
}

void report(int fd, int status) {
  write_all(fd, &status, sizeof status);
}

[[noreturn]] void leave(int status) {
  for (;;) syscall(SYS_exit_group, status);
}

void set_default(int signal) {
  struct sigaction action = {};
  action.sa_handler = SIG_DFL;
  sigaction(signal, &action, nullptr);  // lint: of a process of our own
}

[[noreturn]] void become_program(const Launch& launch) {
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  for (int signal = 1; signal < NSIG; ++signal) set_default(signal);
  sigset_t none;
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, nullptr);
  // The numbers are all above 2: see move_up().
  const bool is_placed = dup2(launch.null_fd, 0) == 0 && dup2(launch.output_fd, 1) == 1 &&
                         dup2(launch.error_fd, 2) == 2 &&
                         (launch.status_fd == 3 || dup3(launch.status_fd, 3, O_CLOEXEC) == 3);
  if (!is_placed) {  // else the credential would go where the host writes
    report(launch.status_fd, kNoProgram);
    leave(127);
  }
  close_between(4, ~0u);
  if (launch.folder == nullptr || chdir(launch.folder) == 0) execve(launch.path, launch.argv, launch.envp);
  const bool is_short = errno == EAGAIN || errno == ENOMEM || errno == EMFILE || errno == ENFILE;
  report(3, is_short ? kNoProgram : kNotExecuted);
  leave(127);
}

[[noreturn]] void keep(const Launch& launch) {
  setsid();
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  set_default(SIGCHLD);  // where a host ignores it, the program's end would be lost
  const long program = bare_clone(SIGCHLD);
  if (program == 0) become_program(launch);
  // What the host closes now must be closed: a connection, for its peer.
  const auto kept = static_cast<unsigned>(launch.status_fd);
  close_between(0, kept - 1);
  close_between(kept + 1, ~0u);
  int status = kNoProgram;
  if (program > 0) {
    while (waitpid(static_cast<pid_t>(program), &status, 0) < 0 && errno == EINTR) {
    }
  }
  report(launch.status_fd, status);
  leave(0);
}

// --- the host's side

/// Out of the way of 0, 1 and 2, which a host may have closed.
bool move_up(Descriptor& descriptor) {
  if (descriptor.get() < 0) return false;
  if (descriptor.get() > 2) return true;
  descriptor.reset(fcntl(descriptor.get(), F_DUPFD_CLOEXEC, 3));
  return descriptor.get() > 2;
}

bool open_pipe(Descriptor& reading, Descriptor& writing) {
  int ends[2];
  if (pipe2(ends, O_CLOEXEC) != 0) return false;
  reading.reset(ends[0]);
  writing.reset(ends[1]);
  return move_up(reading) && move_up(writing);
}

/// Ends the keeper first, which starts nothing any more then, and with its group whatever it has started.
void end_all(pid_t keeper) {
  kill(keeper, SIGKILL);
  kill(-keeper, SIGKILL);
}

void reap(pid_t keeper) {
  while (waitpid(keeper, nullptr, __WALL) < 0 && errno == EINTR) {
  }
}

/// Appends what there is to read. False at the end of the stream, and with `is_broken` where it cannot be read.
bool read_some(int fd, std::vector<char>& out, size_t& size, bool& is_broken) {
  const ssize_t count = read(fd, out.data() + size, out.size() - size);
  if (count > 0) size += static_cast<size_t>(count);
  const bool is_early = count < 0 && (errno == EINTR || errno == EAGAIN);
  is_broken = is_broken || (count < 0 && !is_early);
  return count > 0 || is_early;
}

/// Keeps what there is to read as long as there is room, and throws the rest away: the program must not wait for a
/// reader. False at the end of the stream.
bool read_complaint(int fd, std::vector<char>& out, size_t& size) {
  bool is_broken = false;  // it is a complaint as far as it goes
  if (size < out.size()) return read_some(fd, out, size, is_broken);
  char rest[4096];
  const ssize_t count = read(fd, rest, sizeof rest);
  explicit_bzero(rest, sizeof rest);
  return count > 0 || (count < 0 && (errno == EINTR || errno == EAGAIN));
}

/// Whether `pqmint` is a word of it, or the last part of a path: `sh -c '/opt/bin/pqmint token'`.
bool runs_pqmint(std::string_view word) {
  constexpr std::string_view kName = "pqmint";
  const auto is_of_a_name = [](char c) { return is_made_of({&c, 1}, "-_.:"); };
  for (size_t at = word.find(kName); at != word.npos; at = word.find(kName, at + 1)) {
    const size_t end = at + kName.size();
    if ((at == 0 || !is_of_a_name(word[at - 1])) && (end == word.size() || word[end] == ' ')) return true;
  }
  return false;
}

}  // namespace

std::string ChildOutcome::description() const {
  switch (fault) {
    case Fault::kNotFound:
      return "is not installed, or not in PATH";
    case Fault::kNotExecutable:
      return "is not a program that may be executed";
    case Fault::kTimeout:
      return "was not done in time";
    case Fault::kTooMuch:
      return "wrote more than 1 MiB";
    case Fault::kNoProcess:
      return "could not be started: there are too many processes or open files, or this program may not start any";
    case Fault::kUnread:
      return "ran, but what it wrote could not be read";
    case Fault::kTooDeep:
      return "was not started: pqmint was asked by a program that pqmint started, and that " +
             std::to_string(kMostDepth) +
             " times over (PQMINT_DEPTH), so a command asks for its own token; let it ask for another one";
    case Fault::kNone:
      break;
  }
  if (status > 128) return "was killed by signal " + std::to_string(status - 128);
  return "ended with exit status " + std::to_string(status);
}

std::string ChildOutcome::description_for(const std::vector<std::string>& argv) const {
  std::string out = description();
  if (fault == Fault::kNotFound) return out + "; install it, or give its whole path";
  if (fault == Fault::kNotExecutable || fault == Fault::kNoProcess || fault == Fault::kTooDeep) return out;
  // Where that was the reason, it stands in the stderr of a program that is several floors away.
  if (fault == Fault::kNone && std::ranges::any_of(argv, runs_pqmint)) {
    out += "; it asks pqmint in its turn, which must not be for its own token";
  }
  return out + "; run it by hand to see why";
}

ChildOutcome run_child(const std::vector<std::string>& argv, const std::vector<std::string>& more, Folder folder,
                       const Deadline& deadline) {
  ChildOutcome outcome;
  if (depth() >= kMostDepth) {
    outcome.fault = ChildOutcome::Fault::kTooDeep;
    return outcome;
  }
  const std::string path = find_program(argv.front(), outcome.fault);
  if (path.empty()) return outcome;
  outcome.fault = ChildOutcome::Fault::kNoProcess;

  Wiped words{argv}, variables{environment_for(more)};
  const std::vector<char*> word_list = pointers(words.texts), variable_list = pointers(variables.texts);
  Descriptor null(open_again("/dev/null", O_RDWR | O_CLOEXEC)), output_in, output_out, error_in, error_out, status_in,
      status_out;
  if (!move_up(null) || !open_pipe(output_in, output_out) || !open_pipe(error_in, error_out) ||
      !open_pipe(status_in, status_out)) {
    return outcome;
  }
  const Launch launch = {path.c_str(), word_list.data(), variable_list.data(), folder == Folder::kRoot ? "/" : nullptr,
                         null.get(),   output_out.get(), error_out.get(),      status_out.get()};
  std::vector<char> bytes(kMaxOutput + 1), complaint(kMaxComplaint);

  LogLine line(LogLevel::kDebug, "program");
  line.with("path", path.c_str());
  sigset_t all, before;
  sigfillset(&all);
  // No handler of the host's may run in the keeper, which has its memory but not its life.
  pthread_sigmask(SIG_SETMASK, &all, &before);
  const long keeper = bare_clone(0);
  if (keeper == 0) keep(launch);
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
  if (keeper < 0) return outcome;
  const pid_t pid = static_cast<pid_t>(keeper);
  output_out.reset();
  error_out.reset();
  status_out.reset();

  outcome.fault = ChildOutcome::Fault::kTimeout;
  Deadline end = deadline;
  size_t size = 0, complaint_size = 0;
  bool is_open = true, is_complaining = true, has_ended = false, is_broken = false;
  int status = kNoProgram;
  while ((is_open || !has_ended) && !end.over()) {
    pollfd waiting[] = {{is_open ? output_in.get() : -1, POLLIN, 0},
                        {has_ended ? -1 : status_in.get(), POLLIN, 0},
                        {is_complaining ? error_in.get() : -1, POLLIN, 0}};
    if (poll(waiting, 3, static_cast<int>(end.left().count())) < 0) continue;
    if (waiting[2].revents != 0) is_complaining = read_complaint(error_in.get(), complaint, complaint_size);
    if (waiting[0].revents != 0) is_open = read_some(output_in.get(), bytes, size, is_broken);
    if (size > kMaxOutput) {
      outcome.fault = ChildOutcome::Fault::kTooMuch;
      break;
    }
    if (waiting[1].revents != 0) {
      has_ended = true;
      end = deadline.no_later_than(kGrace);
      if (read_all(status_in.get(), &status, sizeof status) != sizeof status) status = kNoProgram;
    }
  }
  if (!has_ended || size > kMaxOutput) end_all(pid);
  reap(pid);
  if (has_ended && outcome.fault == ChildOutcome::Fault::kTimeout) {
    outcome.fault = is_broken                ? ChildOutcome::Fault::kUnread
                    : status == kNoProgram   ? ChildOutcome::Fault::kNoProcess
                    : status == kNotExecuted ? ChildOutcome::Fault::kNotExecutable
                                             : ChildOutcome::Fault::kNone;
    outcome.status = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
    outcome.output = Secret(std::string_view(bytes.data(), size));
    // What it said at last may have come together with its end.
    pollfd rest = {is_complaining ? error_in.get() : -1, POLLIN, 0};
    if (poll(&rest, 1, 0) > 0) read_complaint(error_in.get(), complaint, complaint_size);
    outcome.complaint = Secret(std::string_view(complaint.data(), complaint_size));
  }
  explicit_bzero(complaint.data(), complaint.size());
  line.took().with("status", outcome.status).with("bytes", static_cast<int64_t>(size));
  explicit_bzero(bytes.data(), bytes.size());
  return outcome;
}

}  // namespace pqmint
