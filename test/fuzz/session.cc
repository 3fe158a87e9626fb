// SPDX-License-Identifier: PostgreSQL
// The cache files of logins, which the user's own CLI reads too. A document that is written reads the same; a refresh
// changes what it must and keeps all else, whatever it is; the file stays its owner's, and nothing lies beside it.
//
// Input: the cache file, a line of "--", and the answer of the service.

#include <dirent.h>
#include <sys/stat.h>

#include <fstream>

#include "net/aws/cache_file.h"
#include "net/aws/cached_session.h"
#include "net/source.h"
#include "network.h"
#include "promise.h"

namespace pqmint::fuzz {
namespace {

size_t files_in(const std::string& path) {
  size_t count = 0;
  DIR* directory = opendir(path.c_str());
  while (const dirent* entry = readdir(directory)) count += entry->d_name[0] != '.';
  closedir(directory);
  return count;
}

void promise_round_trip(const Document& document) {
  for (const bool is_indented : {false, true}) {
    const Secret text = to_json(document, is_indented);
    const auto again = parse_json_object(text.reveal());
    PROMISE(again && *again == document, text.reveal());
  }
  PROMISE(!has(to_json(document).reveal(), "\n"), "one line");
}

bool is_replaced(std::string_view key) {
  return key == "accessToken" || key == "expiresAt" || key == "refreshToken";
}

}  // namespace

void session(std::string_view input) {
  static const std::string place = folder() + "/session";
  static const std::string path = *session_path(place, "SHA1", "work");
  mkdir(place.c_str(), 0700);
  const auto parts = split(input, "\n--\n");
  const auto before = parse_json_object(parts[0]);
  if (!before) return;
  promise_round_trip(*before);

  std::ofstream(path, std::ios::binary) << parts[0];
  chmod(path.c_str(), 0600);
  const std::string_view body = parts.size() > 1 ? parts[1] : "";
  Answers answers({"HTTP/1.1 200 OK\r\nContent-Length: " + std::to_string(body.size()) + "\r\n\r\n" + std::string(body),
                   "HTTP/1.1 403 No\r\nContent-Length: 0\r\n\r\n"});
  const pqmint_setting settings[] = {{"region", "eu-west-1"},
                                     {"endpoint_url_sso", "http://127.0.0.1:1"},
                                     {"endpoint_url_sso_oidc", "http://127.0.0.1:1"},
                                     {"sso_session", "work"},
                                     {"sso_start_url", "https://example.awsapps.com/start"},
                                     {"sso_account_id", "123456789012"},
                                     {"sso_role_name", "reader"},
                                     {"max_attempts", "1"},
                                     {"cache_directory", place.c_str()}};
  Clock clock;
  const auto found = fetch_sso({Settings(settings), nullptr, Deadline::in(std::chrono::milliseconds(3000)), clock});
  PROMISE(!found, "the service gives no keys here");
  promise_sentence(found.error().text);

  struct stat info;
  PROMISE(files_in(place) == 1 && stat(path.c_str(), &info) == 0 && (info.st_mode & 0777) == 0600, place);
  const auto after = read_cache_file(path);
  PROMISE(after, "a file that was whole stays whole");
  if (*after == *before) return;
  // It was refreshed: with what the service said, which was asked with what the file held.
  const auto answer = parse_json_object(body);
  PROMISE(answer && text_in(*after, "accessToken") == text_in(*answer, "accessToken"), body);
  PROMISE(has(answers.heard(), "refresh_token"), answers.heard());
  const std::string_view next = text_in(*answer, "refreshToken");
  PROMISE(text_in(*after, "refreshToken") == (next.empty() ? text_in(*before, "refreshToken") : next), body);
  PROMISE(after->size() == before->size(), "nothing came, nothing went");
  for (const std::string& key : before->getMemberNames()) {
    PROMISE(after->isMember(key), key);
    if (!is_replaced(key)) PROMISE((*after)[key] == (*before)[key], key);
  }
}

}  // namespace pqmint::fuzz
