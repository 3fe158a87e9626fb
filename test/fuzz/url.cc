// SPDX-License-Identifier: PostgreSQL
// URLs of settings. What is taken is http or https, carries no password, and taken apart and joined reads the same;
// without TLS a token of a container goes to an agent's address only.

#include <arpa/inet.h>
#include <curl/curl.h>
#include <strings.h>

#include <algorithm>

#include "net/http.h"
#include "net/url.h"
#include "network.h"
#include "promise.h"

namespace pqmint::fuzz {
namespace {

bool is_agent(const std::string& host) {
  if (strcasecmp(host.c_str(), "localhost") == 0) return true;
  in_addr v4;
  in6_addr v6;
  if (inet_pton(AF_INET, host.c_str(), &v4) == 1) {
    const uint32_t ip = ntohl(v4.s_addr);
    return (ip >> 24) == 127 || ip == 0xA9FEAA02 || ip == 0xA9FEAA17;
  }
  if (inet_pton(AF_INET6, host.c_str(), &v6) != 1) return false;
  in6_addr pod;
  inet_pton(AF_INET6, "fd00:ec2::23", &pod);
  return IN6_IS_ADDR_LOOPBACK(&v6) || IN6_ARE_ADDR_EQUAL(&v6, &pod);
}

}  // namespace

void url(std::string_view input) {
  if (has(input, std::string_view("\0", 1))) return;  // it comes as a C string
  const std::string text(input);
  const auto parts = parse_url(text);
  if (parts) {
    PROMISE(parts->scheme == "http" || parts->scheme == "https", text);
    PROMISE(!parts->host.empty() && !has(parts->host, "@") && !has(parts->host, "/"), text);
    for (const char c : parts->host) PROMISE(static_cast<unsigned char>(c) > ' ', text);
    for (const char c : parts->authority) PROMISE(static_cast<unsigned char>(c) > ' ', text);
    // libcurl decodes a host after it has looked whether it is an address: "%34" is "4", and "4" is "0.0.0.4".
    const std::string joined = parts->scheme + "://" + parts->authority + parts->path;
    const auto again = has(text, "%") ? parts : parse_url(joined);
    PROMISE(again && again->host == parts->host && again->port == parts->port && again->path == parts->path, joined);
  }
  if (!parts || parts->scheme != "http") return;

  // The whole source. It never looks a name up: "localhost" is left out, and any other is refused.
  if (strcasecmp(parts->host.c_str(), "localhost") == 0 || has(parts->host, "%")) return;
  const pqmint_setting settings[] = {{"full_uri", text.c_str()}, {"authorization_token", "a-secret-of-the-container"}};
  const Answers answers({"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"});
  Clock clock;
  const auto found =
      fetch_container({Settings(settings), nullptr, Deadline::in(std::chrono::milliseconds(500)), clock});
  PROMISE(!found, text);
  if (!has(text, "a-secret")) PROMISE(!has(found.error().text, "a-secret-of-the-container"), found.error().text);
  promise_sentence(found.error().text);
  const bool was_asked = !has(found.error().text, "unsupported host");
  PROMISE(!was_asked || is_agent(parts->host), text);
}

}  // namespace pqmint::fuzz
