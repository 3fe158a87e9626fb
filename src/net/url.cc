// SPDX-License-Identifier: PostgreSQL
#include "net/url.h"

#include <curl/curl.h>

#include <memory>
#include <new>

namespace pqmint {
namespace {

struct FreeUrl {
  void operator()(CURLU* url) const { curl_url_cleanup(url); }
};

}  // namespace

std::optional<UrlParts> parse_url(const std::string& url) {
  const std::unique_ptr<CURLU, FreeUrl> parsed(curl_url());
  // A URL that cannot be kept is not one that is wrong.
  const auto is_good = [](CURLUcode code) {
    if (code == CURLUE_OUT_OF_MEMORY) throw std::bad_alloc();
    return code == CURLUE_OK;
  };
  if (!parsed) throw std::bad_alloc();
  if (!is_good(curl_url_set(parsed.get(), CURLUPART_URL, url.c_str(), CURLU_PATH_AS_IS))) return std::nullopt;
  const auto part = [&](CURLUPart which, unsigned flags = 0) {
    char* text = nullptr;
    if (!is_good(curl_url_get(parsed.get(), which, &text, flags))) return std::string();
    const std::unique_ptr<char, decltype(&curl_free)> owned(text, curl_free);
    return std::string(text);
  };
  UrlParts parts;
  parts.scheme = part(CURLUPART_SCHEME);
  if (parts.scheme != "http" && parts.scheme != "https") return std::nullopt;
  if (!part(CURLUPART_USER).empty() || !part(CURLUPART_PASSWORD).empty()) return std::nullopt;
  parts.host = part(CURLUPART_HOST);
  // libcurl decodes %7F in a host, and error texts name hosts.
  if (parts.host.empty() || parts.host.find('\x7f') != std::string::npos) return std::nullopt;
  parts.port = part(CURLUPART_PORT, CURLU_DEFAULT_PORT);
  parts.authority = parts.host;
  if (const std::string port = part(CURLUPART_PORT, CURLU_NO_DEFAULT_PORT); !port.empty()) {
    parts.authority += ":" + port;
  }
  if (parts.host.starts_with('[')) parts.host = parts.host.substr(1, parts.host.size() - 2);
  parts.path = part(CURLUPART_PATH);
  if (const std::string query = part(CURLUPART_QUERY); !query.empty()) parts.path += "?" + query;
  return parts;
}

}  // namespace pqmint
