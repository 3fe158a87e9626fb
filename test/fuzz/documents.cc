// SPDX-License-Identifier: PostgreSQL
// The answers of every source of credentials, through the seam of net.so. Whatever a service, a file or a program says:
// keys that are whole, a token that can be a password, an absence, or an error in one line; and no secret in that.
//
// Input: a letter for the source (kSources), a line end, and parts between lines of "--". A part is an answer: its
// status, headers each after a tab, a line end, the body. For `sso` and `login` the first part is the cache file. For
// programs it is what they print; a second one is what they say to stderr when they fail.

#include <openssl/evp.h>
#include <sys/stat.h>
#include <unistd.h>

#include <fstream>

#include "net/aws/cached_session.h"
#include "network.h"
#include "pqmint/abi.h"
#include "promise.h"

namespace pqmint::fuzz {
namespace {

constexpr char kSigner[] = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY";
constexpr char kSession[] = "FwoGZXIvYXdzEBYaDGV4YW1wbGVwcm9vZg==";
constexpr char kAuthorization[] = "a-secret-of-the-container";
constexpr char kClientSecret[] = "a~secret.of-the-application";
constexpr char kIdentityToken[] = "eyJhbGciOiJub25lIn0.eyJpc3MiOiJodHRwczovL2V4YW1wbGUifQ.c2lnbmF0dXJl";

using Settings = std::vector<std::pair<const char*, std::string>>;

struct NamedSource {
  char letter;
  const char* name;
  Settings settings;
  enum { kAnswers, kFile, kProgram } first = kAnswers;
  const char* cache_digest = nullptr;
};

std::string in_folder(const std::string& name) {
  return folder() + "/" + name;
}

void write_file(const std::string& path, std::string_view text) {
  std::ofstream(path, std::ios::binary) << text;
}

const std::vector<NamedSource>& sources() {
  static const std::vector<NamedSource> all = [] {
    write_file(in_folder("identity"), kIdentityToken);
    mkdir(in_folder("tokens").c_str(), 0700);
    write_file(in_folder("tokens/arc.key"), "a-secret-of-the-agent");
    write_file(in_folder("outside.key"), "a-secret-of-another-program");
    const std::string here = "http://127.0.0.1:1";
    const Settings role = {{"endpoint_url_sts", here},
                           {"region", "eu-west-1"},
                           {"role_arn", "arn:aws:iam::123456789012:role/app"},
                           {"web_identity_token_file", in_folder("identity")},
                           {"profile", "app"}};
    const Settings entra = {{"authority", here},
                            {"tenant_id", "72f988bf-86f1-41af-91ab-2d7cd011db47"},
                            {"client_id", "0b3a2d8e-7c52-4d7f-9b1c-5a2c5d4e6f70"},
                            {"client_secret", kClientSecret},
                            {"federated_token_file", in_folder("identity")},
                            {"terminal", "/dev/null"},
                            {"scope", "https://ossrdbms-aad.database.windows.net/.default"}};
    const Settings cached = {{"region", "eu-west-1"},
                             {"endpoint_url_sso", here},
                             {"endpoint_url_sso_oidc", here},
                             {"endpoint_url_signin", here},
                             {"sso_session", "work"},
                             {"sso_start_url", "https://example.awsapps.com/start"},
                             {"sso_account_id", "123456789012"},
                             {"sso_role_name", "reader"},
                             {"login_session", "arn:aws:iam::123456789012:user/app"},
                             {"cache_directory", folder()},
                             {"profile", "app"}};
    const auto with = [](Settings base, const Settings& more) {
      base.insert(base.end(), more.begin(), more.end());
      return base;
    };
    const Settings metadata = {{"scope", "https://ossrdbms-aad.database.windows.net/.default"},
                               {"imds_host", here},
                               {"arc_agent", "/nonexistent"},
                               {"arc_key_directory", in_folder("tokens/")}};
    const Settings arc = {{"identity_endpoint", here}, {"imds_endpoint", here}};
    return std::vector<NamedSource>{
        {'a', "assume-role", role},
        {'b', "web-identity", role},
        {'c', "sso", cached, NamedSource::kFile, "SHA1"},
        {'d', "login", cached, NamedSource::kFile, "SHA256"},
        {'e', "process", {{"command", "get-keys 'for app'"}, {"profile", "app"}}, NamedSource::kProgram},
        {'f', "container", {{"full_uri", here}, {"authorization_token", kAuthorization}}},
        {'g', "imds", {{"endpoint", here}}},
        {'h', "imds-region", {{"endpoint", here}}},
        {'i', "client-secret", entra},
        {'j', "workload-identity", entra},
        {'k', "managed-identity", with(metadata, {{"probe", "true"}})},
        {'l', "managed-identity", with(metadata, {{"identity_endpoint", here}, {"identity_header", kAuthorization}})},
        {'m', "managed-identity", with(metadata, arc)},
        {'n', "managed-identity", with(metadata, {{"msi_endpoint", here}, {"msi_secret", kAuthorization}})},
        {'o', "device-code", entra},
        {'p', "azure-cli", entra, NamedSource::kProgram},
        {'q', "azure-developer-cli", entra, NamedSource::kProgram},
        {'r', "azure-powershell", entra, NamedSource::kProgram},
    };
  }();
  return all;
}

std::string http_answer(std::string_view part) {
  const size_t end = std::min(part.find('\n'), part.size());
  const std::string_view body = part.substr(std::min(end + 1, part.size()));
  const auto words = split(part.substr(0, end), "\t");
  std::string out = "HTTP/1.1 " + std::string(words[0].substr(0, 3)) + " Said\r\n";
  for (size_t i = 1; i < words.size(); ++i) out.append(words[i]).append("\r\n");
  return out.append("Content-Length: ").append(std::to_string(body.size())).append("\r\n\r\n").append(body);
}

/// The values of keys that hold secrets, as they stand in the parts; short ones may be words.
std::vector<std::string> secrets_in(std::string_view input) {
  std::vector<std::string> out;
  for (const char* key : {"ecretAccessKey\":\"", "ccess_token\":\"", "efreshToken\":\"", "efresh_token\":\"",
                          "essionToken\":\"", "lientSecret\":\"", "dpopKey\":\"", "\"Token\":\""}) {
    for (size_t at = input.find(key); at != input.npos; at = input.find(key, at + 1)) {
      const std::string_view rest = input.substr(at + std::string_view(key).size());
      const std::string secret(rest.substr(0, rest.find('"')));
      const size_t first = input.find(secret);
      const bool is_elsewhere = input.find(secret, first + 1) != input.npos;  // an error may well quote it from there
      const bool is_made_up = has(secret, "made+up") || has(secret, "made.up");  // and no word of an error's own
      if (secret.size() >= 16 && is_made_up && !is_elsewhere) out.push_back(secret);
    }
  }
  return out;
}

}  // namespace

void documents(std::string_view input) {
  if (input.size() < 2 || input[1] != '\n') return;
  const auto& all = sources();
  const auto source = std::ranges::find(all, input[0], &NamedSource::letter);
  if (source == all.end()) return;
  const auto parts = split(input.substr(2), "\n--\n");

  std::vector<std::string> said;
  const bool first_is_answer = source->first == NamedSource::kAnswers;
  for (size_t i = first_is_answer ? 0 : 1; i < parts.size(); ++i) said.push_back(http_answer(parts[i]));
  const Answers answers(std::move(said));
  const bool is_program = source->first == NamedSource::kProgram;
  const bool fails = is_program && parts.size() > 1;
  const ChildPrints child(is_program ? std::string(parts[0]) : "", fails ? 1 : 0, fails ? std::string(parts[1]) : "");
  if (source->first == NamedSource::kFile) {
    const bool is_sso = source->letter == 'c';
    const auto path =
        session_path(folder(), source->cache_digest, is_sso ? "work" : "arn:aws:iam::123456789012:user/app");
    PROMISE(path, "a digest");
    write_file(*path, parts[0]);
  }

  std::vector<pqmint_setting> settings;
  for (const auto& [name, value] : source->settings) settings.push_back({name, value.c_str()});
  const pqmint_keys signer = {"AKIAIOSFODNN7EXAMPLE", kSigner, kSession};
  pqmint_fetch what = {};
  what.source = source->name;
  what.settings = settings.data();
  what.setting_count = settings.size();
  what.signer = &signer;
  what.timeout_ms = source->letter == 'o' ? 20 : 3000;
  const pqmint_fetched* found = pqmint_net()->fetch(&what);
  PROMISE(found != nullptr, "something was thrown");
  PROMISE(child.runs() == (is_program ? 1 : 0), "a program, and no other's source, runs once");

  const auto text = [](const char* value) { return std::string_view(value ? value : ""); };
  const pqmint_keys& keys = found->keys;
  if (found->error != nullptr) {
    promise_sentence(found->error);
    PROMISE(!keys.access_key_id && !keys.secret_access_key && !keys.session_token && !found->token, found->error);
    for (const char* secret : {kSigner, kSession, kAuthorization, kClientSecret, kIdentityToken,
                               "a-secret-of-the-agent", "a-secret-of-another-program"}) {
      PROMISE(!has(found->error, secret) || has(input, secret), found->error);
    }
    for (const std::string& secret : secrets_in(input)) PROMISE(!has(found->error, secret), found->error);
  } else if (source->letter == 'h') {
    PROMISE(!text(found->text).empty() && text(found->text).find_first_of(" /:@\r\n") == std::string_view::npos,
            found->text);
  } else if (source->letter < 'i') {
    // A NUL in a value cuts it short where it becomes a C string; only an empty one would be no key at all.
    PROMISE(keys.access_key_id && keys.secret_access_key && !found->token, input);
    PROMISE(found->expires == 0 || found->expires > 1'700'000'000, input);
    PROMISE(found->expires != 0 || source->letter == 'e', input);
  } else {
    PROMISE(!text(found->token).empty() && text(found->token).size() <= 65'535, input);
    for (const char c : text(found->token)) PROMISE(c > ' ' && c <= '~', found->token);
    for (const char c : text(found->text)) PROMISE(static_cast<unsigned char>(c) >= ' ', found->text);
    PROMISE(found->expires > 0, input);
  }
  pqmint_net()->release(found);
}

}  // namespace pqmint::fuzz
