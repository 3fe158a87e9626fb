// SPDX-License-Identifier: PostgreSQL
// A client certificate with its key, as PEM or PFX. Either one sentence says why it is of no use, or an assertion is
// sent: a JWT of the certificate's own.
//
// Input: the file's password, a line end, and the file.

#include <fstream>

#include "net/digest.h"
#include "net/json.h"
#include "net/openssl.h"
#include "net/source.h"
#include "network.h"
#include "promise.h"

namespace pqmint::fuzz {
namespace {

constexpr char kAnswer[] =
    "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 74\r\n\r\n"
    "{\"token_type\":\"Bearer\",\"expires_in\":3600,\"access_token\":\"made.up.token\"}   ";

}  // namespace

void certificate(std::string_view input) {
  static const std::string path = folder() + "/certificate";
  const size_t end = std::min(input.find('\n'), input.size());
  const std::string password(input.substr(0, end));
  const std::string_view file = input.substr(std::min(end + 1, input.size()));
  if (has(password, std::string_view("\0", 1))) return;
  std::ofstream(path, std::ios::binary) << file;
  const pqmint_setting settings[] = {{"authority", "http://127.0.0.1:1"},
                                     {"tenant_id", "test"},
                                     {"client_id", "app"},
                                     {"scope", "https://ossrdbms-aad.database.windows.net/.default"},
                                     {"certificate_path", path.c_str()},
                                     {"certificate_password", password.c_str()},
                                     {"send_certificate_chain", "true"}};
  Answers answers({kAnswer});
  Clock clock;
  const auto found =
      fetch_client_certificate({Settings(settings), nullptr, Deadline::in(std::chrono::milliseconds(3000)), clock});
  PROMISE(ERR_peek_error() == 0, "the host's queue of errors is as it was");
  const std::string heard = answers.heard();
  if (!found) {
    PROMISE(heard.empty(), found.error().text);
    promise_sentence(found.error().text);
    // libFuzzer tries words of the error's own, too.
    PROMISE(!has(password, "made-up") || !has(found.error().text, password), found.error().text);
    return;
  }
  PROMISE(found->token.reveal() == "made.up.token", heard);
  constexpr std::string_view kName = "&client_assertion=";
  const size_t at = heard.find(kName);
  PROMISE(at != heard.npos, heard);
  const std::string_view rest = std::string_view(heard).substr(at + kName.size());
  const auto parts = split(rest.substr(0, rest.find('&')), ".");
  PROMISE(parts.size() == 3, heard);
  const auto header = parse_json_object(base64url_decode(parts[0]));
  const auto payload = parse_json_object(base64url_decode(parts[1]));
  PROMISE(header && payload, heard);
  PROMISE(text_in(*header, "alg") == "PS256" && base64url_decode(text_in(*header, "x5t#S256")).size() == 32, heard);
  PROMISE((*header)["x5c"].isArray() && !(*header)["x5c"].empty(), heard);
  PROMISE(text_in(*payload, "iss") == "app" && text_in(*payload, "aud") == "http://127.0.0.1:1/test/oauth2/v2.0/token",
          heard);
  PROMISE(base64url_decode(parts[2]).size() >= 256, heard);
}

}  // namespace pqmint::fuzz
