// SPDX-License-Identifier: PostgreSQL
// Digests and encodings that names of cache files and assertions are made of, by OpenSSL.
#pragma once

#include <string>
#include <string_view>

namespace pqmint {

/// The digest of `text` by its OpenSSL name ("SHA1", "SHA256"), as bytes; empty if OpenSSL has none of that name.
std::string digest(const char* algorithm, std::string_view text);

/// Lower-case hexadecimal digits.
std::string hex(std::string_view bytes);

/// Base64, padded (RFC 4648, 4).
std::string base64(std::string_view bytes);

/// Base64 for URLs, without padding (RFC 4648, 5).
std::string base64url(std::string_view bytes);

/// The bytes that base64url stands for, padded or not; empty if it is none.
std::string base64url_decode(std::string_view text);

/// A random UUID (version 4).
std::string random_uuid();

}  // namespace pqmint
