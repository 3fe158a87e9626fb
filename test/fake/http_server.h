// SPDX-License-Identifier: PostgreSQL
// A real HTTP server on loopback that a test tells what to answer, well or badly. HTTP/1.1, a connection for each
// request; it remembers what it heard.
#pragma once

#include <atomic>
#include <chrono>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

struct ssl_ctx_st;

namespace pqmint::test {

/// The time in so many seconds, as the header Date has it.
std::string http_date(long seconds);

/// One request as it came.
struct Heard {
  std::string method;
  std::string target;                          // path and query
  std::map<std::string, std::string> headers;  // names in lower case
  std::string body;
  std::string raw_head;  // request line and headers, byte for byte
};

struct Reply {
  enum class Manner {
    kWhole,
    kInPieces,   // a few bytes at a time
    kChunked,    // as chunks of one byte each
    kChunkless,  // promises chunks, and the second one never ends
    kTruncated,  // half of the body, then the connection is closed; Content-Length promises all of it
    kSilent,     // nothing until the client or the server goes
    kDropped,    // the connection is closed without an answer
    kReset,      // the same, by a reset
    kNotHttp,    // bytes that are no HTTP
    kEndless,    // a body without an end
  };
  int status = 200;
  std::string body;
  std::map<std::string, std::string> headers = {{"Content-Type", "application/json"}};
  Manner manner = Manner::kWhole;
  std::chrono::milliseconds delay{0};  // before the answer
  long length = -1;                    // what Content-Length says, where that is not the truth
};

class HttpServer {
 public:
  using Handler = std::function<Reply(const Heard&)>;
  /// Listens on `address` (IPv4 or IPv6 text); port 0 takes a free one. Each connection has a thread; the handler is
  /// called by one at a time.
  explicit HttpServer(Handler handler, const std::string& address = "127.0.0.1", int port = 0)
      : HttpServer(std::move(handler), address, port, "", "") {}
  /// The same over TLS, with a certificate chain and its key in PEM files.
  HttpServer(Handler handler, const std::string& address, int port, const std::string& certificate,
             const std::string& key);
  ~HttpServer();
  HttpServer(const HttpServer&) = delete;
  HttpServer& operator=(const HttpServer&) = delete;

  int port() const { return port_; }
  /// "http://127.0.0.1:PORT" (or https), without a slash at the end.
  std::string url() const;
  std::vector<Heard> heard() const;
  size_t count() const { return heard().size(); }

 private:
  void accept_all();
  void serve(int fd);

  Handler handler_;
  std::shared_ptr<ssl_ctx_st> tls_;  // null: plain HTTP
  std::string address_;
  int port_ = 0;
  int listener_ = -1;
  std::atomic<bool> is_over_ = false;
  mutable std::mutex mutex_;
  std::vector<Heard> heard_;
  std::vector<std::thread> threads_;
  std::vector<int> open_;
  std::thread acceptor_;
};

/// A port on 127.0.0.1 that nobody listens on.
int closed_port();

}  // namespace pqmint::test
