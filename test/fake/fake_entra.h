// SPDX-License-Identifier: PostgreSQL
// Microsoft Entra's token endpoint on loopback: HTTPS with a certificate of the test's, real RS256 tokens.
#pragma once

#include <chrono>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "http_server.h"

namespace pqmint::test {

/// An application that may ask for tokens. `claims` is JSON, without its braces: the claims that its tokens carry
/// beside aud, iss, exp and the like.
struct EntraApp {
  std::string client_id;
  std::string secret;
  std::string claims;
  long life = 3600;      // seconds
  std::string audience;  // empty: as asked
};

class FakeEntra {
 public:
  /// Certificate, its key and the key that signs tokens are PEM files. Tokens carry the kid "test-key".
  FakeEntra(const std::string& certificate, const std::string& key, const std::string& signing_key, int port = 0);

  void add(EntraApp app);
  /// Before each answer, as the way to the real one would take. To be set before the first request.
  void delay(std::chrono::milliseconds delay) { delay_ = delay; }
  int port() const { return server_->port(); }
  /// "https://localhost:PORT".
  std::string url() const { return "https://localhost:" + std::to_string(port()); }
  std::vector<Heard> heard() const { return server_->heard(); }
  /// A token with these claims, as the endpoint would sign it.
  std::string sign(const std::string& claims) const;

 private:
  Reply answer(const Heard& heard);

  std::string signing_key_;
  std::chrono::milliseconds delay_{0};
  std::mutex mutex_;
  std::vector<EntraApp> apps_;
  std::unique_ptr<HttpServer> server_;
};

}  // namespace pqmint::test
