// SPDX-License-Identifier: PostgreSQL
// STS's XML, answers and errors. What keys are found stand in the text, within one element; a comment between the
// pieces changes nothing; the session token that was sent is never repeated.

#include "net/aws/sts.h"

#include "network.h"
#include "promise.h"

namespace pqmint::fuzz {
namespace {

constexpr char kProof[] = "FwoGZXIvYXdzEBYaDGV4YW1wbGVwcm9vZg==";

std::string field(std::string_view name, std::string_view value) {
  std::string out = "<" + std::string(name) + ">";
  for (const char c : value) {
    out += c == '&' ? "&amp;" : c == '<' ? "&lt;" : c == '>' ? "&gt;" : std::string(1, c);
  }
  return out + "</" + std::string(name) + ">";
}

}  // namespace

void sts(std::string_view input) {
  constexpr int64_t kNow = 1'700'000'000;
  const auto found = parse_sts_answer(input, "AssumeRole", kNow);
  if (found) {
    PROMISE(has(input, "Credentials") && has(input, "SecretAccessKey"), input);
    PROMISE(!found->access_key_id.empty() && !found->secret_access_key.empty() && !found->session_token.empty(), input);
    PROMISE(found->expires > kNow, input);
    PROMISE(found->secret_access_key.size() <= input.size(), input);
    const std::string text = "<x:R xmlns:x=\"y\"><Credentials>" + field("SessionToken", found->session_token.reveal()) +
                             "<!-- <AccessKeyId>no</AccessKeyId> -->" + field("AccessKeyId", found->access_key_id) +
                             field("SecretAccessKey", found->secret_access_key.reveal()) +
                             "<Expiration>2030-01-01T00:00:00Z</Expiration></Credentials></x:R>";
    const auto again = parse_sts_answer(text, "AssumeRole", kNow);
    PROMISE(again && again->access_key_id == found->access_key_id, text);
    PROMISE(again->secret_access_key.reveal() == found->secret_access_key.reveal(), text);
    PROMISE(again->session_token.reveal() == found->session_token.reveal(), text);
  } else {
    promise_sentence(found.error().text);
  }

  // The same as an error, with what the request carried in it.
  std::string body(input);
  for (size_t at; (at = body.find("PROOF")) != body.npos;) body.replace(at, 5, kProof);
  const std::string answer =
      "HTTP/1.1 403 Forbidden\r\nContent-Type: text/xml\r\nContent-Length: " + std::to_string(body.size()) +
      "\r\n\r\n" + body;
  const Answers answers({answer, answer, answer});
  const pqmint_setting settings[] = {{"endpoint_url_sts", "http://127.0.0.1:1"},
                                     {"region", "eu-west-1"},
                                     {"role_arn", "arn:aws:iam::123456789012:role/app"}};
  const pqmint_keys signer = {"AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY", kProof};
  Clock clock;
  const auto refused =
      fetch_assume_role({Settings(settings), &signer, Deadline::in(std::chrono::milliseconds(3000)), clock});
  PROMISE(!refused, body);
  promise_sentence(refused.error().text);
  PROMISE(!has(refused.error().text, kProof), refused.error().text);
}

}  // namespace pqmint::fuzz
