// SPDX-License-Identifier: PostgreSQL
// AWS SigV4: a canonical request, a secret key and a scope come in, the signature goes out.
//
// The cost of a signature is OpenSSL's housekeeping, not SHA-256: HMAC() fetches its algorithm at
// every call, and five calls take 10 us. So the digest is fetched once, and a derived key is kept
// as the two SHA-256 states after its pads.

#include "base/sigv4.h"

#include <openssl/evp.h>
#include <string.h>

#include <array>
#include <atomic>
#include <chrono>
#include <memory>
#include <utility>

#include "base/small_cache.h"

namespace pqmint {
namespace {

/// SHA-256's output and block (FIPS 180-4).
constexpr size_t kDigestSize = 32;
constexpr size_t kBlockSize = 64;
using Digest = std::array<unsigned char, kDigestSize>;

/// A key is a day, a region and a service of one identity; a program that uses more than 16 at once
/// derives anew.
constexpr size_t kKeptKeys = 16;

struct FreeContext {
  void operator()(EVP_MD_CTX* context) const { EVP_MD_CTX_free(context); }  // wipes the state
};
using Context = std::unique_ptr<EVP_MD_CTX, FreeContext>;

std::string_view bytes_of(const Digest& digest) {
  return {reinterpret_cast<const char*>(digest.data()), digest.size()};
}

/// Fetched once and kept: 3.0 looks algorithms up by name under a lock otherwise.
const EVP_MD* sha256() {
  constinit static std::atomic<EVP_MD*> kept = nullptr;
  EVP_MD* digest = kept.load(std::memory_order_acquire);
  if (digest != nullptr) return digest;
  EVP_MD* fetched = EVP_MD_fetch(nullptr, "SHA256", nullptr);
  if (fetched == nullptr || kept.compare_exchange_strong(digest, fetched)) return fetched;
  EVP_MD_free(fetched);
  return digest;
}

bool update(EVP_MD_CTX* context, std::string_view text) {
  return EVP_DigestUpdate(context, text.data(), text.size()) == 1;
}

Context begin_hash() {
  Context context(EVP_MD_CTX_new());
  const EVP_MD* digest = sha256();
  if (!context || digest == nullptr) return nullptr;
  return EVP_DigestInit_ex2(context.get(), digest, nullptr) == 1 ? std::move(context) : nullptr;
}

/// In `context`, whatever was done in it before: a signature has several hashes, and a new context for each would cost
/// as much as two of their blocks.
bool hash(EVP_MD_CTX* context, std::initializer_list<std::string_view> parts, Digest& out) {
  const EVP_MD* digest = sha256();
  if (context == nullptr || digest == nullptr || EVP_DigestInit_ex2(context, digest, nullptr) != 1) return false;
  for (const std::string_view part : parts) {
    if (!update(context, part)) return false;
  }
  return EVP_DigestFinal_ex(context, out.data(), nullptr) == 1;
}

/// HMAC-SHA256 (RFC 2104) under one key, held as the states of the two hashes after their first
/// block. Shared by threads: signing copies the states and changes neither.
class HmacKey {
 public:
  static std::shared_ptr<const HmacKey> make(std::string_view key) {
    unsigned char block[kBlockSize] = {};
    Digest short_key;
    bool good = true;
    if (key.size() <= kBlockSize) {
      memcpy(block, key.data(), key.size());
    } else {
      good = hash(Context(EVP_MD_CTX_new()).get(), {key}, short_key);
      memcpy(block, short_key.data(), kDigestSize);
    }
    auto made = std::make_shared<HmacKey>();
    good = good && absorb(block, 0x36, made->inner_) && absorb(block, 0x5c, made->outer_);
    explicit_bzero(block, sizeof block);
    explicit_bzero(short_key.data(), short_key.size());
    return good ? made : nullptr;
  }

  bool sign(EVP_MD_CTX* context, std::initializer_list<std::string_view> parts, Digest& out) const {
    if (EVP_MD_CTX_copy_ex(context, inner_.get()) != 1) return false;
    for (const std::string_view part : parts) {
      if (!update(context, part)) return false;
    }
    return EVP_DigestFinal_ex(context, out.data(), nullptr) == 1 && EVP_MD_CTX_copy_ex(context, outer_.get()) == 1 &&
           update(context, bytes_of(out)) && EVP_DigestFinal_ex(context, out.data(), nullptr) == 1;
  }

 private:
  static bool absorb(const unsigned char* block, unsigned char pad, Context& out) {
    char padded[kBlockSize];
    for (size_t i = 0; i < kBlockSize; ++i) padded[i] = static_cast<char>(block[i] ^ pad);
    out = begin_hash();
    const bool good = out && update(out.get(), {padded, kBlockSize});
    explicit_bzero(padded, sizeof padded);
    return good;
  }

  Context inner_;
  Context outer_;
};

/// "AWS4" + secret -> day -> region -> service -> "aws4_request": each step's HMAC is the key of
/// the next.
std::shared_ptr<const HmacKey> derive(EVP_MD_CTX* context, const SigningScope& scope, const Secret& secret) {
  Secret first("AWS4");
  std::shared_ptr<const HmacKey> key = HmacKey::make(first.append(secret.reveal()).reveal());
  Digest step;
  constexpr std::string_view kTermination = "aws4_request";
  for (const auto name : {scope.day(), scope.region(), scope.service(), kTermination}) {
    if (key) key = key->sign(context, {name}, step) ? HmacKey::make(bytes_of(step)) : nullptr;
  }
  explicit_bzero(step.data(), step.size());
  return key;
}

/// The derived key, from memory if it was needed before. Remembered under a digest, so that the
/// secret itself is not.
std::shared_ptr<const HmacKey> signing_key(EVP_MD_CTX* context, const SigningScope& scope, const Secret& secret) {
  constinit static SmallCache<Digest, HmacKey, kKeptKeys> kept;
  Digest name;
  // The NUL keeps scope and secret apart: neither a region nor a service can hold one.
  if (!hash(context, {scope.text(), {"", 1}, secret.reveal()}, name)) return nullptr;
  std::shared_ptr<const HmacKey> key = kept.find(name);
  if (!key) {
    key = derive(context, scope, secret);
    if (key) kept.put(name, key);
  }
  return key;
}

// Appending digit by digit would cost as much as hashing a block does.
Secret hex(const Digest& digest) {
  constexpr char kDigits[] = "0123456789abcdef";
  char out[2 * kDigestSize];
  for (size_t i = 0; i < kDigestSize; ++i) {
    out[2 * i] = kDigits[digest[i] >> 4];
    out[2 * i + 1] = kDigits[digest[i] & 15];
  }
  Secret text(std::string_view(out, sizeof out));
  explicit_bzero(out, sizeof out);
  return text;
}

char* put_number(char* out, int number, int width) {
  for (int i = width - 1; i >= 0; --i, number /= 10) out[i] = static_cast<char>('0' + number % 10);
  return out + width;
}

}  // namespace

SigningScope::SigningScope(int64_t now, std::string_view region, std::string_view service)
    : region_(region), service_(service) {
  using namespace std::chrono;
  const sys_seconds instant{seconds(now)};
  const sys_days midnight = floor<days>(instant);
  const year_month_day date(midnight);
  const hh_mm_ss time(instant - midnight);
  char* out = put_number(time_, static_cast<int>(date.year()), 4);
  out = put_number(out, static_cast<int>(static_cast<unsigned>(date.month())), 2);
  out = put_number(out, static_cast<int>(static_cast<unsigned>(date.day())), 2);
  *out++ = 'T';
  out = put_number(out, static_cast<int>(time.hours().count()), 2);
  out = put_number(out, static_cast<int>(time.minutes().count()), 2);
  out = put_number(out, static_cast<int>(time.seconds().count()), 2);
  *out++ = 'Z';
  *out = '\0';
  text_.reserve(8 + region.size() + service.size() + 15);
  text_.append(day()).append("/").append(region).append("/").append(service).append("/aws4_request");
}

Secret sign_request(std::initializer_list<std::string_view> canonical_request, const SigningScope& scope,
                    const Secret& secret) {
  Digest digest;
  const Context context(EVP_MD_CTX_new());
  if (!hash(context.get(), canonical_request, digest)) return {};
  const Secret request_hash = hex(digest);
  const std::shared_ptr<const HmacKey> key = signing_key(context.get(), scope, secret);
  if (!key ||
      !key->sign(context.get(), {kSigV4Algorithm, "\n", scope.time(), "\n", scope.text(), "\n", request_hash.reveal()},
                 digest)) {
    return {};
  }
  Secret signature = hex(digest);
  explicit_bzero(digest.data(), digest.size());
  return signature;
}

}  // namespace pqmint
