// SPDX-License-Identifier: PostgreSQL
// Digests and encodings, by OpenSSL.

#include "net/digest.h"

#include <openssl/evp.h>
#include <openssl/rand.h>

namespace pqmint {

std::string digest(const char* algorithm, std::string_view text) {
  unsigned char out[EVP_MAX_MD_SIZE];
  size_t size = 0;
  if (EVP_Q_digest(nullptr, algorithm, nullptr, text.data(), text.size(), out, &size) != 1) return {};
  return {reinterpret_cast<const char*>(out), size};
}

std::string hex(std::string_view bytes) {
  std::string out;
  for (const char byte : bytes) {
    out += "0123456789abcdef"[static_cast<unsigned char>(byte) >> 4];
    out += "0123456789abcdef"[static_cast<unsigned char>(byte) & 15];
  }
  return out;
}

std::string base64(std::string_view bytes) {
  std::string out(4 * ((bytes.size() + 2) / 3) + 1, '\0');
  const int size =
      EVP_EncodeBlock(reinterpret_cast<unsigned char*>(out.data()),
                      reinterpret_cast<const unsigned char*>(bytes.data()), static_cast<int>(bytes.size()));
  out.resize(static_cast<size_t>(size));
  return out;
}

std::string base64url(std::string_view bytes) {
  std::string out = base64(bytes);
  while (out.ends_with('=')) out.pop_back();
  for (char& c : out) c = c == '+' ? '-' : c == '/' ? '_' : c;
  return out;
}

std::string base64url_decode(std::string_view text) {
  std::string padded(text);
  while (padded.ends_with('=')) padded.pop_back();
  const size_t digits = padded.size();
  for (char& c : padded) {
    // EVP_DecodeBlock skips blanks, and knows the other spelling only.
    if (c == '+' || c == '/' || c == ' ' || c == '\n' || c == '\r' || c == '\t') return {};
    c = c == '-' ? '+' : c == '_' ? '/' : c;
  }
  while (padded.size() % 4 != 0) padded += '=';
  std::string out(3 * (padded.size() / 4) + 1, '\0');
  const int size =
      EVP_DecodeBlock(reinterpret_cast<unsigned char*>(out.data()),
                      reinterpret_cast<const unsigned char*>(padded.data()), static_cast<int>(padded.size()));
  if (size < 0) return {};
  out.resize(static_cast<size_t>(size) - (padded.size() - digits));
  return out;
}

std::string random_uuid() {
  unsigned char bytes[16] = {};
  RAND_bytes(bytes, sizeof bytes);
  bytes[6] = static_cast<unsigned char>((bytes[6] & 0x0F) | 0x40);
  bytes[8] = static_cast<unsigned char>((bytes[8] & 0x3F) | 0x80);
  const std::string all = hex({reinterpret_cast<const char*>(bytes), sizeof bytes});
  return all.substr(0, 8) + "-" + all.substr(8, 4) + "-" + all.substr(12, 4) + "-" + all.substr(16, 4) + "-" +
         all.substr(20);
}

}  // namespace pqmint
