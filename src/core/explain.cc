// SPDX-License-Identifier: PostgreSQL
// A grant whose token was refused comes in, a sentence goes out.

#include "core/explain.h"

#include <chrono>
#include <cstdlib>
#include <utility>

#include "core/clock.h"

namespace pqmint {
namespace {

// As SQL would want the name: in double quotes, those within it doubled.
std::string identifier(std::string_view name) {
  std::string out = "\"";
  for (const char c : name) {
    out += c;
    if (c == '"') out += c;
  }
  return out + "\"";
}

// "12 s", "42 min", "3 h 10 min": for people, to whom the next finer unit is noise.
std::string duration(int64_t seconds) {
  constexpr int64_t kMinute = 60, kHour = 60 * kMinute;
  if (seconds < 2 * kMinute) return std::to_string(seconds) + " s";
  if (seconds < 2 * kHour) return std::to_string(seconds / kMinute) + " min";
  return std::to_string(seconds / kHour) + " h " + std::to_string(seconds % kHour / kMinute) + " min";
}

std::string left(int64_t expires) {
  const int64_t seconds = expires - server_now();
  return seconds > 0 ? "good for " + duration(seconds) + " more" : "dead for " + duration(-seconds);
}

/// A first line, facts and causes, a line for each.
class Explanation {
 public:
  explicit Explanation(std::string first) : text_(std::move(first)) {}
  void fact(std::string_view name, std::string_view value) {
    text_.append("\n  ").append(name).append(": ").append(value);
  }
  void cause(std::string_view what) {
    if (!has_causes_) text_ += "\n  likely causes, the likeliest first:";
    has_causes_ = true;
    text_.append("\n  - ").append(what);
  }
  std::string take() { return std::move(text_); }

 private:
  std::string text_;
  bool has_causes_ = false;
};

std::string keys_of(const Grant& grant) {
  std::string text = grant.identity + " (" + grant.credential_source;
  if (!grant.credential_name.empty()) text += " " + grant.credential_name;
  text += ")";
  if (grant.credential_expires != 0) text += ", " + left(grant.credential_expires);
  return text;
}

std::string token_of(const Grant& grant) {
  using namespace std::chrono;
  const auto age = duration_cast<seconds>(steady_clock::now() - grant.token_since).count();
  std::string text = std::to_string(grant.token.size()) + " characters, " + duration(age) + " old";
  if (grant.token_expires != 0) text += ", " + left(grant.token_expires);
  return text;
}

constexpr int64_t kNoSkew = 5;  // seconds that a Date header, an answer's way and rounding make up

void tell_clock(Explanation& explanation) {
  const auto skew = known_skew();
  if (!skew) return;
  if (std::abs(*skew) <= kNoSkew) return explanation.fact("clock", "this machine's agrees with AWS's");
  const char* consequence = is_skew_corrected()
                                ? "which was allowed for"
                                : "and AWS_DISABLE_CLOCK_SKEW_CORRECTION forbids to allow for it: timedatectl";
  explanation.fact("clock", "this machine's is " + duration(std::abs(*skew)) + (*skew > 0 ? " behind" : " ahead of") +
                                " AWS's, " + consequence);
}

void tell_causes_at_rds(Explanation& explanation, const Grant& grant, std::string_view user) {
  explanation.cause("the keys may not rds-db:connect: allow it on arn:aws:rds-db:" + grant.region +
                    ":ACCOUNT:dbuser:RESOURCE-ID/" + std::string(user));
  explanation.cause("IAM authentication is switched off for the instance or cluster");
  explanation.cause("the role lacks rds_iam: GRANT rds_iam TO " + identifier(user));
}

void tell_causes_at_dsql(Explanation& explanation, std::string_view user) {
  if (user == "admin") {
    explanation.cause("the keys may not dsql:DbConnectAdmin on this cluster");
  } else {
    explanation.cause("the keys may not dsql:DbConnect on this cluster");
    explanation.cause("the role is not theirs: as admin, AWS IAM GRANT " + identifier(user) +
                      " TO 'arn:aws:iam::ACCOUNT:role/NAME'");
  }
}

std::string explain_signature(const Grant& grant, std::string_view user, std::string_view said) {
  Explanation explanation("the server refused a token that was signed for " + grant.endpoint + ", user " +
                          identifier(user) + ", region " + grant.region + " (from " + grant.region_source + ")");
  explanation.fact("keys", keys_of(grant));
  explanation.fact("token", token_of(grant));
  tell_clock(explanation);
  // RDS asks PAM for members of rds_iam, and takes every other role's token for an ordinary password.
  if (grant.service == Service::kRds && said.find("password authentication failed") != said.npos) {
    explanation.cause("the role does not exist, or lacks rds_iam: GRANT rds_iam TO " + identifier(user));
    return explanation.take();
  }
  if (!grant.note.empty()) explanation.cause(grant.note);
  if (grant.region_source != std::string_view("host")) {
    explanation.cause("the database is in another region: say region= in the token spec");
  }
  if (grant.service == Service::kRds) {
    tell_causes_at_rds(explanation, grant, user);
  } else {
    tell_causes_at_dsql(explanation, user);
  }
  explanation.cause("the secret key is wrong, or the keys were revoked: aws sts get-caller-identity");
  if (!known_skew()) explanation.cause("this machine's clock is off by minutes: timedatectl");
  return explanation.take();
}

struct Saying {
  std::string_view part;
  std::string_view meaning;
};
// What Azure's servers say (spec/azure.md 1.5), and what to do about it.
constexpr Saying kAzureSayings[] = {
    {"access token has expired",
     "the token was too old, though Entra had given it a longer life: this machine's clock is off, or the server's"},
    {"valid audience claim",
     "the token is for another cloud or product; put the resource that the server names, with /.default behind it, "
     "into "
     "the token spec: scope="},
    {"neither an AAD_AUTH_TOKENTYPE_APP_USER",
     "the role was made for a person (type user), and this is an application's token; make it with "
     "pgaadauth_create_principal_with_oid(..., 'service'), or log in as a person"},
    {"cannot generate AAD_AUTH_TOKENTYPE_APP_USER",
     "the role was made for an application (type service), and this is a person's token: another source came first; "
     "set AZURE_TOKEN_CREDENTIALS=prod, or client_id= in the token spec"},
    {"does not exist", "the server has no such role; make it with pgaadauth_create_principal, or correct user="},
    {"password authentication failed",
     "the role is not labelled with this token's oid: it is no Entra role, or it was made for another identity"},
    {"validating the access token", "the server could not read the token: was it cut off on the way, by a pooler?"},
};

std::string explain_entra(const Grant& grant, std::string_view user, std::string_view said) {
  Explanation explanation("the server refused a token of Microsoft Entra for user " + identifier(user));
  explanation.fact("identity", grant.identity + " (" + grant.credential_source + ")");
  explanation.fact("token", token_of(grant));
  for (const auto& [part, meaning] : kAzureSayings) {
    if (said.find(part) == said.npos) continue;
    explanation.cause(meaning);
    return explanation.take();
  }
  explanation.cause(
      "the role does not exist, or is labelled with another oid: make it with pgaadauth_create_principal");
  explanation.cause("the group that the role stands for does not have this member");
  explanation.cause("this machine's clock is off by minutes: timedatectl");
  return explanation.take();
}

std::string explain_command(const Grant& grant, std::string_view user) {
  Explanation explanation("the server refused the token that the command " + grant.credential_name +
                          " printed for user " + identifier(user));
  explanation.fact("token", token_of(grant));
  explanation.cause(
      "the command printed something else: run it by hand, with PQMINT_HOST, PQMINT_PORT, PQMINT_USER and "
      "PQMINT_DATABASE set");
  explanation.cause("its token is for another user or server");
  explanation.cause("it prints a token that it keeps, and that is too old");
  return explanation.take();
}

}  // namespace

std::string explain_refusal(const Grant& grant, std::string_view user, std::string_view said) {
  if (grant.service == Service::kEntra) return explain_entra(grant, user, said);
  if (grant.service == Service::kCommand) return explain_command(grant, user);
  return explain_signature(grant, user, said);
}

}  // namespace pqmint
