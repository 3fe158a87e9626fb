// SPDX-License-Identifier: PostgreSQL
// A URL as its user wrote it comes in; what it is made of goes out.
#pragma once

#include <optional>
#include <string>

namespace pqmint {

/// The host (without brackets), the port (as written, or the scheme's) and the path with query of a URL, parsed by
/// libcurl. Nothing if it is none, or its scheme is neither http nor https, or it carries a user or password.
struct UrlParts {
  std::string scheme, host, port, path, authority;  // authority: host[:port] as a Host header has it
};
std::optional<UrlParts> parse_url(const std::string& url);

}  // namespace pqmint
