// SPDX-License-Identifier: PostgreSQL
// Microsoft Entra's token endpoint on loopback.

#include "fake_entra.h"

#include <openssl/evp.h>
#include <openssl/pem.h>

#include <cstdio>
#include <ctime>
#include <map>
#include <stdexcept>

namespace pqmint::test {
namespace {

std::string base64url(const std::string& bytes) {
  std::string out(4 * ((bytes.size() + 2) / 3) + 1, '\0');
  const int size =
      EVP_EncodeBlock(reinterpret_cast<unsigned char*>(out.data()),
                      reinterpret_cast<const unsigned char*>(bytes.data()), static_cast<int>(bytes.size()));
  out.resize(static_cast<size_t>(size));
  while (out.ends_with('=')) out.pop_back();
  for (char& c : out) c = c == '+' ? '-' : c == '/' ? '_' : c;
  return out;
}

std::map<std::string, std::string> form_of(const std::string& body) {
  const auto decoded = [](const std::string& text) {
    std::string out;
    for (size_t i = 0; i < text.size(); ++i) {
      if (text[i] == '%' && i + 2 < text.size()) {
        out += static_cast<char>(std::stoi(text.substr(i + 1, 2), nullptr, 16));
        i += 2;
      } else {
        out += text[i] == '+' ? ' ' : text[i];
      }
    }
    return out;
  };
  std::map<std::string, std::string> form;
  for (size_t at = 0; at < body.size();) {
    const size_t end = std::min(body.find('&', at), body.size());
    const std::string pair = body.substr(at, end - at);
    const size_t equals = pair.find('=');
    form[decoded(pair.substr(0, equals))] = equals == pair.npos ? "" : decoded(pair.substr(equals + 1));
    at = end + 1;
  }
  return form;
}

Reply refusal(int status, const std::string& error, const std::string& code, const std::string& text) {
  return {status, R"({"error":")" + error + R"(","error_description":"AADSTS)" + code + ": " + text +
                      R"( Trace ID: 00000000-1111-2222-3333-444444444444 Correlation ID: )"
                      R"(55555555-6666-7777-8888-999999999999 Timestamp: 2026-01-15 12:34:56Z","error_codes":[)" +
                      code + R"(],"trace_id":"00000000-1111-2222-3333-444444444444",)" +
                      R"("correlation_id":"55555555-6666-7777-8888-999999999999"})"};
}

}  // namespace

FakeEntra::FakeEntra(const std::string& certificate, const std::string& key, const std::string& signing_key, int port)
    : signing_key_(signing_key),
      server_(std::make_unique<HttpServer>([this](const Heard& heard) { return answer(heard); }, "127.0.0.1", port,
                                           certificate, key)) {}

void FakeEntra::add(EntraApp app) {
  const std::lock_guard lock(mutex_);
  apps_.push_back(std::move(app));
}

std::string FakeEntra::sign(const std::string& claims) const {
  const std::unique_ptr<FILE, int (*)(FILE*)> file(std::fopen(signing_key_.c_str(), "r"), std::fclose);
  if (!file) throw std::runtime_error("no " + signing_key_);
  const std::unique_ptr<EVP_PKEY, decltype(&EVP_PKEY_free)> key(
      PEM_read_PrivateKey(file.get(), nullptr, nullptr, nullptr), EVP_PKEY_free);
  const std::unique_ptr<EVP_MD_CTX, decltype(&EVP_MD_CTX_free)> context(EVP_MD_CTX_new(), EVP_MD_CTX_free);
  const std::string text =
      base64url(R"({"typ":"JWT","alg":"RS256","kid":"test-key"})") + "." + base64url("{" + claims + "}");
  std::string signature(1024, '\0');
  size_t size = signature.size();
  if (EVP_DigestSignInit(context.get(), nullptr, EVP_sha256(), nullptr, key.get()) != 1 ||
      EVP_DigestSign(context.get(), reinterpret_cast<unsigned char*>(signature.data()), &size,
                     reinterpret_cast<const unsigned char*>(text.data()), text.size()) != 1) {
    throw std::runtime_error("cannot sign with " + signing_key_);
  }
  return text + "." + base64url(signature.substr(0, size));
}

Reply FakeEntra::answer(const Heard& heard) {
  if (heard.method != "POST" || !heard.target.ends_with("/oauth2/v2.0/token")) return {404, "{}"};
  auto form = form_of(heard.body);
  const std::lock_guard lock(mutex_);
  for (const EntraApp& app : apps_) {
    if (app.client_id != form["client_id"]) continue;
    if (!form["client_secret"].empty() && form["client_secret"] != app.secret) {
      return refusal(401, "invalid_client", "7000215",
                     "Invalid client secret provided. Ensure the secret being sent in the request is the client secret "
                     "value, not the client secret ID.");
    }
    std::string audience = form["scope"];
    if (audience.ends_with("/.default")) audience.resize(audience.size() - 9);
    if (!app.audience.empty()) audience = app.audience;
    const long now = std::time(nullptr);
    const std::string token =
        sign(R"("aud":")" + audience + R"(","iss":"https://sts.windows.net/t/","iat":)" + std::to_string(now) +
             R"(,"nbf":)" + std::to_string(now) + R"(,"exp":)" + std::to_string(now + app.life) +
             R"(,"ver":"1.0","appid":")" + app.client_id + R"(",)" + app.claims);
    Reply reply = {200, R"({"token_type":"Bearer","expires_in":)" + std::to_string(std::max(app.life, 600L)) +
                            R"(,"ext_expires_in":3599,"access_token":")" + token + R"("})"};
    reply.delay = delay_;
    return reply;
  }
  return refusal(400, "unauthorized_client", "700016",
                 "Application with identifier '" + form["client_id"] + "' was not found in the directory 'test'.");
}

}  // namespace pqmint::test
