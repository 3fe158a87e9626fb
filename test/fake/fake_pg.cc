// SPDX-License-Identifier: PostgreSQL
// A PostgreSQL that behaves badly, or oddly, on purpose: for what a real one would never do to a client.
//
//   fake_pg --mode=MODE [--cert FILE --key FILE] [--log FILE] [--address ADDRESS] [--port N]
//
// Prints "port N" and serves 127.0.0.1:N, or ADDRESS:N, until it is killed. The log has a line for each thing that a
// client did; of a password it tells the length only. Modes:
//
//   refuse-tls         answers N to SSLRequest; whoever goes on in clear is asked for a password, and then rejected
//   reject             takes TLS, asks for a password in clear inside it, and rejects it with 28P01
//   accept             takes TLS, asks for a password, takes any, and answers every query with one row: 1
//   accept-nopassword  the same without asking
//   silent             takes the connection and never says a word
//   md5, scram         ask for a password in another way, and reject
//   trickle            takes TLS, and then says a byte a second
//   hang-up-on-tls, hang-up-on-startup, hang-up-on-password
//                      is gone as soon as it has heard the request for TLS, the startup packet, the password
//   repeat, flood      reject as above, in a text with the password and an escape code; or in one of a mebibyte
#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <signal.h>
#include <sys/socket.h>
#include <unistd.h>

#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

namespace {

// The codes that stand where a protocol version would (PostgreSQL documentation, "Message Formats").
constexpr uint32_t kSslRequest = 80877103;
constexpr uint32_t kGssRequest = 80877104;
constexpr uint32_t kCancelRequest = 80877102;
// Nothing that a test sends is longer; more is a broken client.
constexpr uint32_t kLongestMessage = 1 << 20;

enum AuthenticationRequest : uint32_t { kOk = 0, kCleartext = 3, kMd5 = 5, kSasl = 10 };

std::string g_mode;
SSL_CTX* g_tls = nullptr;
std::ofstream g_log;
std::mutex g_log_lock;

std::string number(uint32_t value) {
  const uint32_t wire = htonl(value);
  return std::string(reinterpret_cast<const char*>(&wire), sizeof wire);
}

uint32_t number_at(const std::string& text, size_t at) {
  uint32_t wire;
  std::memcpy(&wire, text.data() + at, sizeof wire);
  return ntohl(wire);
}

/// A socket, later perhaps with TLS around it. Reads give nothing when the client is gone.
class Wire {
 public:
  explicit Wire(int fd) : fd_(fd) {
    // Its messages are short, and each would wait for the client to acknowledge the one before.
    const int at_once = 1;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &at_once, sizeof at_once);
  }
  ~Wire() {
    if (tls_) SSL_free(tls_);
    close(fd_);
  }
  Wire(const Wire&) = delete;
  Wire& operator=(const Wire&) = delete;

  bool start_tls() {
    tls_ = SSL_new(g_tls);
    SSL_set_fd(tls_, fd_);
    if (SSL_accept(tls_) == 1) return true;
    ERR_clear_error();
    return false;
  }
  bool has_tls() const { return tls_ != nullptr; }

  std::optional<std::string> read(size_t size) {
    std::string out(size, '\0');
    for (size_t done = 0; done < size;) {
      const auto n = tls_ ? SSL_read(tls_, out.data() + done, static_cast<int>(size - done))
                          : static_cast<int>(recv(fd_, out.data() + done, size - done, 0));
      if (n <= 0) return std::nullopt;
      done += static_cast<size_t>(n);
    }
    return out;
  }

  void write(const std::string& text) {
    if (tls_) {
      SSL_write(tls_, text.data(), static_cast<int>(text.size()));
    } else {
      send(fd_, text.data(), text.size(), MSG_NOSIGNAL);
    }
  }

  void message(char type, const std::string& body) {
    write(std::string(1, type) + number(static_cast<uint32_t>(body.size() + 4)) + body);
  }

 private:
  int fd_;
  SSL* tls_ = nullptr;
};

/// One client, from its first byte to its last.
class Session {
 public:
  Session(int fd, int index) : wire_(fd), index_(index) {}

  void run() {
    say("open");
    if (g_mode == "silent") {
      while (wire_.read(1)) {
      }
    } else if (negotiate()) {
      authenticate();
    }
    say("close");
  }

 private:
  void say(const std::string& what) {
    const std::lock_guard lock(g_log_lock);
    g_log << "conn " << index_ << " " << what << std::endl;
  }
  std::string tls() const { return wire_.has_tls() ? "tls=1" : "tls=0"; }

  std::optional<std::string> sized() {
    const auto size = wire_.read(4);
    if (!size) return std::nullopt;
    const uint32_t length = number_at(*size, 0);
    if (length < 4 || length > kLongestMessage) return std::nullopt;
    return wire_.read(length - 4);
  }

  // Requests for encryption, until the startup packet comes.
  bool negotiate() {
    while (const auto packet = sized()) {
      if (packet->size() < 4) return false;
      switch (number_at(*packet, 0)) {
        case kGssRequest:
          say("gssencrequest");
          wire_.write("N");
          break;
        case kSslRequest:
          say("sslrequest");
          if (g_mode == "hang-up-on-tls") return false;
          if (!g_tls || g_mode == "refuse-tls") {
            wire_.write("N");
            break;
          }
          wire_.write("S");
          if (!wire_.start_tls()) return false;
          break;
        case kCancelRequest:
          return false;
        default:
          note_startup(packet->substr(4));
          return true;
      }
    }
    return false;
  }

  // Each parameter in the order in which it came.
  void note_startup(const std::string& pairs) {
    std::string all;
    for (size_t at = 0; at < pairs.size() && pairs[at];) {
      const std::string name = pairs.c_str() + at;
      at += name.size() + 1;
      const std::string value = pairs.c_str() + at;
      at += value.size() + 1;
      if (name == "user") user_ = value;
      all.append(" ").append(name).append("=").append(value);
    }
    say("startup " + tls() + all);
  }

  void trickle() {
    for (const char byte : std::string("R\0\0\0\10\0\0\0\3", 9)) {
      std::this_thread::sleep_for(std::chrono::seconds(1));
      wire_.write(std::string(1, byte));
    }
  }

  std::string refusal(const std::string& password) const {
    constexpr size_t kFlood = 1 << 20;
    if (g_mode == "repeat") return "password authentication failed: \33[31m" + password + "\33[0m is what you sent";
    if (g_mode == "flood") return "password authentication failed: " + password + std::string(kFlood, '!');
    return "password authentication failed for user \"" + user_ + "\"";
  }

  void authenticate() {
    if (g_mode == "hang-up-on-startup") return;
    if (g_mode == "trickle") return trickle();
    std::string password;
    if (g_mode != "accept-nopassword") {
      wire_.message('R', g_mode == "scram" ? number(kSasl) + "SCRAM-SHA-256" + std::string(2, '\0')
                         : g_mode == "md5" ? number(kMd5) + "salt"
                                           : number(kCleartext));
      const auto type = wire_.read(1);
      const auto body = type ? sized() : std::nullopt;
      if (!body) return;
      password = body->c_str();
      say("password " + tls() + " len=" + std::to_string(body->empty() ? 0 : body->size() - 1));
    }
    if (g_mode == "hang-up-on-password") return;
    if (g_mode == "accept" || g_mode == "accept-nopassword") return serve();
    const auto field = [](char name, const std::string& value) { return name + value + '\0'; };
    wire_.message(
        'E', field('S', "FATAL") + field('V', "FATAL") + field('C', "28P01") + field('M', refusal(password)) + '\0');
  }

  void serve() {
    const auto parameter = [&](const std::string& name, const std::string& value) {
      wire_.message('S', name + '\0' + value + '\0');
    };
    const auto ready = [&] { wire_.message('Z', "I"); };
    wire_.message('R', number(kOk));
    parameter("server_version", "15.0");
    parameter("client_encoding", "UTF8");
    parameter("standard_conforming_strings", "on");
    wire_.message('K', number(1) + number(2));
    ready();
    while (const auto type = wire_.read(1)) {
      const auto body = sized();
      if (!body || *type == "X") return;
      if (*type != "Q") continue;
      wire_.message('T', std::string("\0\1", 2) + "one" + '\0' + number(0) + std::string(2, '\0') + number(25) +
                             std::string("\xff\xff", 2) + number(0xffffffff) + std::string(2, '\0'));
      wire_.message('D', std::string("\0\1", 2) + number(1) + "1");
      wire_.message('C', std::string("SELECT 1") + '\0');
      ready();
    }
  }

  Wire wire_;
  int index_;
  std::string user_;
};

int complain(const std::string& why) {
  std::fprintf(stderr, "fake_pg: %s\n", why.c_str());
  return 2;
}

}  // namespace

int main(int argc, char** argv) {
  std::string certificate, key, listen_address = "127.0.0.1";
  uint16_t port = 0;
  for (int i = 1; i < argc; ++i) {
    const std::string word = argv[i];
    if (word.rfind("--mode=", 0) == 0) {
      g_mode = word.substr(7);
    } else if (i + 1 < argc && word == "--cert") {
      certificate = argv[++i];
    } else if (i + 1 < argc && word == "--key") {
      key = argv[++i];
    } else if (i + 1 < argc && word == "--log") {
      g_log.open(argv[++i]);
    } else if (i + 1 < argc && word == "--address") {
      listen_address = argv[++i];
    } else if (i + 1 < argc && word == "--port") {
      port = static_cast<uint16_t>(std::atoi(argv[++i]));
    } else {
      return complain("unknown argument " + word);
    }
  }
  if (g_mode.empty()) return complain("--mode= is missing");
  if (!certificate.empty()) {
    g_tls = SSL_CTX_new(TLS_server_method());
    if (SSL_CTX_use_certificate_file(g_tls, certificate.c_str(), SSL_FILETYPE_PEM) != 1 ||
        SSL_CTX_use_PrivateKey_file(g_tls, key.c_str(), SSL_FILETYPE_PEM) != 1) {
      return complain("cannot use the certificate " + certificate);
    }
  }
  // A client that is gone is no reason to die: SSL_write would raise it.
  signal(SIGPIPE, SIG_IGN);

  const int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address = {};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  inet_pton(AF_INET, listen_address.c_str(), &address.sin_addr);
  socklen_t size = sizeof address;
  // One that was killed a moment ago may have stood there.
  const int anew = 1;
  setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &anew, sizeof anew);
  auto* any = reinterpret_cast<sockaddr*>(&address);
  if (bind(listener, any, size) != 0 || listen(listener, 64) != 0 || getsockname(listener, any, &size) != 0) {
    return complain("cannot listen on " + listen_address + ":" + std::to_string(port));
  }
  std::printf("port %d\n", ntohs(address.sin_port));
  std::fflush(stdout);
  for (int index = 1;; ++index) {
    const int fd = accept4(listener, nullptr, nullptr, SOCK_CLOEXEC);
    if (fd < 0) continue;
    std::thread([fd, index] { Session(fd, index).run(); }).detach();
  }
}
