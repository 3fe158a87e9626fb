// SPDX-License-Identifier: PostgreSQL
// HTTP by libcurl: a request and a time limit come in; the answer, or how it failed, goes out.
//
// Settings that requests to AWS's services share: ca_bundle (AWS_CA_BUNDLE; empty: the system's), max_attempts.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/instant.h"
#include "base/secret.h"
#include "net/source.h"

struct sockaddr;

namespace pqmint {

struct HttpRequest {
  std::string method = "GET";
  std::string url;                                      // http:// or https://
  std::vector<std::pair<std::string, Secret>> headers;  // any of them may be a secret
  std::optional<Secret> body;                           // sent with its Content-Length, also when empty
  bool may_use_proxy = false;                           // the environment's; never for metadata services
  std::string ca_bundle;                                // a file; empty: the system's
  std::chrono::milliseconds connect_timeout{0};         // 0: only the deadline counts
  std::string ca_pem;             // the only authorities that count, as PEM text; empty: ca_bundle
  std::string dial;               // "host:port" to connect to instead of the URL's
  std::string pinned_thumbprint;  // SHA-1 of the leaf, 40 hex digits: instead of any authority
  bool (*is_allowed)(const sockaddr& address) = nullptr;  // asked for the address that is dialled

  void add_header(std::string name, std::string_view value) { headers.emplace_back(std::move(name), Secret(value)); }
};

struct HttpResponse {
  long status = 0;
  Secret body;
  std::vector<std::pair<std::string, std::string>> headers;  // names in lower case

  /// The value of the last header of this name (in lower case), empty if there is none.
  std::string_view header(std::string_view name) const;
  bool is_ok() const { return status >= 200 && status < 300; }
  /// "status 502, text/html, 1432 bytes": what may be told of an answer that was not expected.
  std::string description() const;
};

/// kShortage: this process had no memory or no descriptor left, which says nothing of the other side. kNotSent: what
/// was to be sent cannot be, and never will.
enum class HttpFault : uint8_t {
  kNone,
  kConnect,
  kTimeout,
  kTls,
  kRefusedAddress,
  kTooLarge,
  kBroken,
  kShortage,
  kNotSent
};

/// Either an answer, whatever its status, or a fault.
struct HttpOutcome {
  HttpFault fault = HttpFault::kNone;
  std::string why;  // of the fault: "could not connect to 127.0.0.1 port 80", no prefix, no secret
  HttpResponse response;

  explicit operator bool() const { return fault == HttpFault::kNone; }
};

/// No credential document is larger.
inline constexpr size_t kMaxHttpBody = 1 << 20;

/// One exchange: no redirect, no cookie, no netrc, TLS verified. `clock` learns from the answer's Date (ignored with an
/// Age header, spec/aws.md 4.13). Thread-safe; blocks no longer than the deadline; touches no signal.
HttpOutcome exchange(const HttpRequest& request, const Deadline& deadline, Clock& clock);

/// Makes and sends a request again, within the deadline, while it fails to connect or times out, or the answer is one
/// of 429, 500, 502, 503, 504, or `is_transient` says so: `attempts` times in all, with random pauses that double from
/// 1 s (botocore's "standard" mode). A request is made anew each time, for its signature carries the time.
HttpOutcome exchange_with_retries(const std::function<HttpRequest()>& make, int attempts, const Deadline& deadline,
                                  Clock& clock, bool (*is_transient)(const HttpResponse&) = nullptr);

/// The setting max_attempts (AWS_MAX_ATTEMPTS), 3 where it says nothing, at most 10.
int attempts_of(const Settings& settings);

}  // namespace pqmint
