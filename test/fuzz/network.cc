// SPDX-License-Identifier: PostgreSQL
// Stands in for socket(), connect(), pauses and child processes.

#include "network.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "promise.h"

namespace pqmint::fuzz {
namespace {

struct Script {
  std::vector<std::string> answers;
  size_t next = 0;
  std::vector<int> ours, theirs;  // the two ends of each connection; ours may be closed by now
};
Script* g_script = nullptr;
ChildPrints* g_child = nullptr;
int g_naps = 0;

int next_connection() {
  int ends[2];
  if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0) return -1;
  const int room = 1 << 20;
  setsockopt(ends[1], SOL_SOCKET, SO_SNDBUF, &room, sizeof room);
  if (g_script->next < g_script->answers.size()) {
    const std::string& answer = g_script->answers[g_script->next++];
    // What does not fit is cut off, as an answer may be.
    static_cast<void>(!send(ends[1], answer.data(), answer.size(), MSG_DONTWAIT | MSG_NOSIGNAL));
  }
  shutdown(ends[1], SHUT_WR);
  g_script->ours.push_back(ends[0]);
  g_script->theirs.push_back(ends[1]);
  return ends[0];
}

}  // namespace

Answers::Answers(std::vector<std::string> answers) {
  g_script = new Script{std::move(answers), 0, {}, {}};
  g_naps = 0;
}

Answers::~Answers() {
  for (const int end : g_script->theirs) close(end);
  delete g_script;
  g_script = nullptr;
}

std::string Answers::heard() const {
  std::string out;
  char bytes[4096];
  for (const int end : g_script->theirs) {
    for (ssize_t count; (count = recv(end, bytes, sizeof bytes, MSG_DONTWAIT)) > 0;) {
      out.append(bytes, static_cast<size_t>(count));
    }
  }
  return out;
}

ChildPrints::ChildPrints(std::string output, int status, std::string complaint)
    : output_(std::move(output)), status_(status), complaint_(std::move(complaint)) {
  g_child = this;
}

ChildPrints::~ChildPrints() {
  g_child = nullptr;
}

ChildOutcome ChildPrints::outcome() {
  ++runs_;
  ChildOutcome outcome;
  outcome.output = Secret(output_);
  outcome.status = status_;
  outcome.complaint = Secret(complaint_);
  return outcome;
}

}  // namespace pqmint::fuzz

using namespace pqmint;
using namespace pqmint::fuzz;

extern "C" {

// The program's own symbols come before libc's, for libcurl and libpq too.
__attribute__((visibility("default"))) int socket(int domain, int type, int protocol) {
  const bool is_probe = (type & 0xF) == SOCK_DGRAM && g_script != nullptr;  // libcurl sees whether there is IPv6
  if (is_probe) return static_cast<int>(syscall(SYS_socket, domain, type, protocol));
  PROMISE(g_script != nullptr, "a socket was asked for");
  return next_connection();
}

__attribute__((visibility("default"))) int connect(int fd, const sockaddr* address, socklen_t size) {
  if (g_script != nullptr && std::ranges::find(g_script->ours, fd) != g_script->ours.end()) return 0;
  return static_cast<int>(syscall(SYS_connect, fd, address, size));
}

// Linked with --wrap. Nobody sleeps here, unless it goes on and on.
int __real_poll(pollfd* fds, nfds_t count, int timeout);
int __wrap_poll(pollfd* fds, nfds_t count, int timeout) {
  return __real_poll(fds, count, count == 0 && ++g_naps < 20 ? 0 : timeout);
}
}

// In place of pqmint::run_child(), whose name the linker knows as this. If it is another one by now, no program that a
// fuzzer waits for is ever run, which is a promise of documents.cc.
ChildOutcome
run_no_child(const std::vector<std::string>& argv, const std::vector<std::string>& more, Folder folder, const Deadline& deadline) asm(
    "__wrap__ZN6pqmint9run_childERKSt6vectorINSt7__cxx1112basic_stringIcSt11char_"
    "traitsIcESaIcEEESaIS6_EESA_NS_6FolderERKNS_8DeadlineE");
ChildOutcome run_no_child(const std::vector<std::string>& argv, const std::vector<std::string>&, Folder,
                          const Deadline&) {
  PROMISE(!argv.empty() && !argv.front().empty(), "an empty command was run");
  PROMISE(g_child != nullptr, "a program was run");
  return g_child->outcome();
}
