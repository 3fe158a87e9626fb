// SPDX-License-Identifier: PostgreSQL
// credential_process: a command comes in, the keys that the program prints go out (spec/aws.md 4.9).

#include <json/value.h>

#include "base/shown.h"
#include "base/words.h"
#include "net/child.h"
#include "net/json.h"
#include "net/source.h"

namespace pqmint {
namespace {

/// Its own program may wait for a person or a slow service, but no longer than this.
constexpr std::chrono::seconds kPatience{60};

/// Whether a time that could be read names its zone. Neither botocore nor Go takes one without, which might well be the
/// local time of the machine that wrote it.
bool says_zone(std::string_view instant) {
  return instant.find_first_of("Zz+-U", instant.find(':')) != instant.npos;
}

}  // namespace

Result<Fetched> fetch_process(const Query& query) {
  const std::string asker = "credential_process of profile " + quoted(query.settings["profile"]);
  const auto words = split_command(query.settings["command"]);
  if (!words) return Error{asker + ": " + words.error().text};
  // Arguments may hold secrets; the program's name does not.
  const std::string program = shown(words->front(), 80);
  const ChildOutcome child = run_child(*words, {}, Folder::kHosts, query.deadline.no_later_than(kPatience));
  if (!child.succeeded()) {
    return Error{"error when retrieving credentials from custom-process: " + program + " (" + asker + ") " +
                 child.description_for(*words)};
  }
  const auto bad = [&](const std::string& what) {
    return Error{"error when retrieving credentials from custom-process: " + program + " (" + asker + ") " + what +
                 "; run it by hand to see its output"};
  };
  const auto document = parse_json_object(child.output.reveal());
  if (!document)
    return bad("did not print one JSON object, but " + std::to_string(child.output.size()) +
               " bytes of something else");
  const auto version = number_in(*document, "Version");
  if (version != 1) {
    return bad("gave unsupported version '" + (version ? std::to_string(*version) : std::string("none")) +
               "' for credential process provider, supported versions: 1");
  }
  Fetched found;
  found.access_key_id = key_in(*document, "AccessKeyId");
  found.secret_access_key = Secret(key_in(*document, "SecretAccessKey"));
  found.session_token = Secret(key_in(*document, "SessionToken"));
  if (found.access_key_id.empty()) return bad("gave a document with a missing required key in response: 'AccessKeyId'");
  if (found.secret_access_key.empty())
    return bad("gave a document with a missing required key in response: 'SecretAccessKey'");
  // Without it the other two would be somebody else's keys, or nobody's.
  const Json::Value& token = (*document)["SessionToken"];
  if (found.session_token.empty() && !token.isNull() && token != "") return bad("gave a SessionToken that is none");
  if (!(*document)["Expiration"].isNull()) {
    const auto expires = parse_instant(text_in(*document, "Expiration"));
    if (!expires) return bad("gave an Expiration that is no ISO 8601 time");
    if (!says_zone(text_in(*document, "Expiration"))) {
      return bad("gave an Expiration without a zone, which is another time on another machine; let it end in Z");
    }
    if (*expires <= query.clock.now())
      return bad("gave keys: credentials were refreshed, but the refreshed credentials are still expired");
    found.expires = *expires;
  }
  return found;
}

}  // namespace pqmint
