// SPDX-License-Identifier: PostgreSQL
// A real HTTP server on loopback that a test tells what to answer, well or badly.

#include "http_server.h"

#include <arpa/inet.h>
#include <netdb.h>
#include <netinet/in.h>
#include <openssl/ssl.h>
#include <poll.h>
#include <signal.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstring>
#include <ctime>
#include <stdexcept>

namespace pqmint::test {
namespace {

int listen_on(const std::string& address, int port) {
  addrinfo hints = {};
  hints.ai_flags = AI_NUMERICHOST | AI_PASSIVE;
  hints.ai_socktype = SOCK_STREAM;
  addrinfo* found = nullptr;
  if (getaddrinfo(address.c_str(), std::to_string(port).c_str(), &hints, &found) != 0) return -1;
  const int fd = socket(found->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
  const int on = 1;
  setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  const bool good = bind(fd, found->ai_addr, found->ai_addrlen) == 0 && listen(fd, 128) == 0;
  freeaddrinfo(found);
  if (good) return fd;
  close(fd);
  return -1;
}

int port_of(int fd) {
  sockaddr_storage address = {};
  socklen_t size = sizeof address;
  getsockname(fd, reinterpret_cast<sockaddr*>(&address), &size);
  return ntohs(address.ss_family == AF_INET6 ? reinterpret_cast<sockaddr_in6&>(address).sin6_port
                                             : reinterpret_cast<sockaddr_in&>(address).sin_port);
}

/// One connection, in clear or over TLS.
class Stream {
 public:
  Stream(int fd, SSL_CTX* tls) : fd_(fd), ssl_(tls != nullptr ? SSL_new(tls) : nullptr, SSL_free) {
    if (ssl_) SSL_set_fd(ssl_.get(), fd);
  }
  bool greet() { return !ssl_ || SSL_accept(ssl_.get()) == 1; }
  bool send_all(std::string_view bytes) {
    while (!bytes.empty()) {
      const int size = static_cast<int>(bytes.size());
      const ssize_t count =
          ssl_ ? SSL_write(ssl_.get(), bytes.data(), size) : send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
      if (count <= 0) return false;
      bytes.remove_prefix(static_cast<size_t>(count));
    }
    return true;
  }
  ssize_t receive(char* room, size_t size) {
    return ssl_ ? SSL_read(ssl_.get(), room, static_cast<int>(size)) : recv(fd_, room, size, 0);
  }
  void say_goodbye() {
    if (ssl_) SSL_shutdown(ssl_.get());
  }
  int fd() const { return fd_; }

 private:
  const int fd_;
  const std::unique_ptr<SSL, decltype(&SSL_free)> ssl_;
};

/// Reads one request; false if the peer goes before it is whole.
bool read_request(Stream& stream, Heard& out) {
  std::string bytes;
  size_t head_end = std::string::npos;
  size_t body_size = 0;
  for (;;) {
    if (head_end == std::string::npos && (head_end = bytes.find("\r\n\r\n")) != std::string::npos) {
      out.raw_head = bytes.substr(0, head_end + 2);
      size_t at = out.raw_head.find("\r\n");
      const std::string line = out.raw_head.substr(0, at);
      const size_t blank = line.find(' ');
      out.method = line.substr(0, blank);
      out.target = line.substr(blank + 1, line.rfind(' ') - blank - 1);
      for (at += 2; at < out.raw_head.size();) {
        const size_t end = out.raw_head.find("\r\n", at);
        const std::string header = out.raw_head.substr(at, end - at);
        at = end + 2;
        const size_t colon = header.find(':');
        std::string name = header.substr(0, colon);
        for (char& c : name) c = static_cast<char>(tolower(c));
        const size_t value = header.find_first_not_of(' ', colon + 1);
        out.headers[name] = value == std::string::npos ? "" : header.substr(value);
      }
      const auto length = out.headers.find("content-length");
      if (length != out.headers.end()) body_size = std::stoul(length->second);
    }
    if (head_end != std::string::npos && bytes.size() >= head_end + 4 + body_size) {
      out.body = bytes.substr(head_end + 4, body_size);
      return true;
    }
    char room[4096];
    const ssize_t count = stream.receive(room, sizeof room);
    if (count <= 0) return false;
    bytes.append(room, static_cast<size_t>(count));
  }
}

void wait(int fd, std::chrono::milliseconds time) {
  pollfd end = {fd, POLLRDHUP, 0};
  poll(&end, 1, static_cast<int>(time.count()));
}

void answer(Stream& stream, const Reply& reply) {
  using Manner = Reply::Manner;
  constexpr std::chrono::milliseconds kForEver{60'000};
  if (reply.delay.count() > 0) wait(stream.fd(), reply.delay);
  if (reply.manner == Manner::kSilent) return wait(stream.fd(), kForEver);
  if (reply.manner == Manner::kDropped) return;
  if (reply.manner == Manner::kReset) {
    const linger at_once = {1, 0};
    setsockopt(stream.fd(), SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
    return;
  }
  if (reply.manner == Manner::kNotHttp) {
    stream.send_all("\x15\x03\x01 this is no HTTP\r\n\r\n");
    return;
  }
  std::string head = "HTTP/1.1 " + std::to_string(reply.status) + " As told\r\n";
  for (const auto& [name, value] : reply.headers) head += name + ": " + value + "\r\n";
  if (!reply.headers.contains("Date")) head += "Date: " + http_date(0) + "\r\n";
  if (reply.manner == Manner::kChunked || reply.manner == Manner::kChunkless) {
    head += "Transfer-Encoding: chunked\r\n";
  } else if (reply.manner != Manner::kEndless) {
    const long length = reply.length >= 0 ? reply.length : static_cast<long>(reply.body.size());
    head += "Content-Length: " + std::to_string(length) + "\r\n";
  }
  head += "Connection: close\r\n\r\n";
  switch (reply.manner) {
    case Manner::kInPieces: {
      const std::string all = head + reply.body;
      for (size_t at = 0; at < all.size(); at += 7) {
        if (!stream.send_all(std::string_view(all).substr(at, 7))) return;
        if (at % 70 == 0) poll(nullptr, 0, 1);
      }
      break;
    }
    case Manner::kChunked: {
      std::string chunks;
      for (const char c : reply.body) chunks.append("1\r\n").append(1, c).append("\r\n");
      stream.send_all(head + chunks + "0\r\n\r\n");
      break;
    }
    case Manner::kChunkless:
      stream.send_all(head + "1\r\n{\r\nFFFFFFFF\r\n" + reply.body);
      break;
    case Manner::kTruncated:
      stream.send_all(head + reply.body.substr(0, reply.body.size() / 2));
      break;
    case Manner::kEndless:
      if (!stream.send_all(head)) return;
      while (stream.send_all(std::string(16 * 1024, ' '))) {
      }
      break;
    default:
      stream.send_all(head + reply.body);
  }
}

}  // namespace

std::string http_date(long seconds) {
  const time_t when = time(nullptr) + seconds;
  tm parts = {};
  char out[64];
  return {out, strftime(out, sizeof out, "%a, %d %b %Y %H:%M:%S GMT", gmtime_r(&when, &parts))};
}

HttpServer::HttpServer(Handler handler, const std::string& address, int port, const std::string& certificate,
                       const std::string& key)
    : handler_(std::move(handler)), address_(address), listener_(listen_on(address, port)) {
  if (!certificate.empty()) {
    signal(SIGPIPE, SIG_IGN);  // OpenSSL writes without MSG_NOSIGNAL
    tls_.reset(SSL_CTX_new(TLS_server_method()), SSL_CTX_free);
    if (SSL_CTX_use_certificate_chain_file(tls_.get(), certificate.c_str()) != 1 ||
        SSL_CTX_use_PrivateKey_file(tls_.get(), key.c_str(), SSL_FILETYPE_PEM) != 1) {
      throw std::runtime_error("cannot use " + certificate);
    }
  }
  if (listener_ < 0) throw std::runtime_error("cannot listen on " + address);
  port_ = port_of(listener_);
  acceptor_ = std::thread([this] { accept_all(); });
}

HttpServer::~HttpServer() {
  is_over_ = true;
  shutdown(listener_, SHUT_RDWR);
  acceptor_.join();
  {
    const std::lock_guard lock(mutex_);
    for (const int fd : open_) shutdown(fd, SHUT_RDWR);
  }
  for (std::thread& thread : threads_) thread.join();
  close(listener_);
}

std::string HttpServer::url() const {
  const bool v6 = address_.find(':') != std::string::npos;
  return std::string(tls_ ? "https://" : "http://") + (v6 ? "[" + address_ + "]" : address_) + ":" +
         std::to_string(port_);
}

std::vector<Heard> HttpServer::heard() const {
  const std::lock_guard lock(mutex_);
  return heard_;
}

void HttpServer::accept_all() {
  for (;;) {
    const int fd = accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC);
    if (is_over_) {
      if (fd >= 0) close(fd);
      return;
    }
    if (fd < 0) continue;
    {
      const std::lock_guard lock(mutex_);
      open_.push_back(fd);
    }
    threads_.emplace_back([this, fd] { serve(fd); });
  }
}

void HttpServer::serve(int fd) {
  Heard request;
  Reply reply;
  Stream stream(fd, tls_.get());
  if (stream.greet() && read_request(stream, request)) {
    {
      const std::lock_guard lock(mutex_);
      heard_.push_back(request);
      reply = handler_(request);
    }
    answer(stream, reply);
    stream.say_goodbye();
  }
  const std::lock_guard lock(mutex_);
  std::erase(open_, fd);
  if (reply.manner != Reply::Manner::kReset) shutdown(fd, SHUT_WR);
  // The peer reads what was sent before it sees the end; unread bytes of its own would turn the end into a reset.
  close(fd);
}

int closed_port() {
  const int fd = listen_on("127.0.0.1", 0);
  const int port = port_of(fd);
  close(fd);
  return port;
}

}  // namespace pqmint::test
