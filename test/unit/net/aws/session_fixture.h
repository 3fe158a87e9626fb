// SPDX-License-Identifier: PostgreSQL
// What the tests of the CLI's cached logins share: a home with a cache folder, a file in it, a query.
#pragma once

#include <fcntl.h>
#include <json/json.h>
#include <sys/file.h>
#include <sys/wait.h>
#include <time.h>

#include <functional>
#include <iterator>
#include <map>
#include <sstream>
#include <thread>

#include "http_server.h"
#include "net/json.h"
#include "net/source.h"
#include "support.h"

namespace pqmint::test {

/// "2026-01-15T20:00:00Z", so many seconds from now.
inline std::string ahead(int seconds, const char* zone = "Z") {
  const time_t then = time(nullptr) + seconds;
  struct tm parts = {};
  char text[32];
  gmtime_r(&then, &parts);
  strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%S", &parts);
  return std::string(text) + zone;
}

/// Somebody who may not write where root may.
class Unprivileged {
 public:
  Unprivileged() {
    if (geteuid() == 0) become(65534);
  }
  ~Unprivileged() {
    if (getuid() == 0) become(0);
  }
  Unprivileged(const Unprivileged&) = delete;
  Unprivileged& operator=(const Unprivileged&) = delete;

 private:
  static void become(uid_t user) { EXPECT_EQ(seteuid(user), 0); }
};

class SessionFixture : public CleanEnvironment {
 protected:
  /// `folder` is below ~/.aws; `digest` the name of the file.
  SessionFixture(const std::string& folder, const std::string& digest)
      : folder_(home + "/.aws/" + folder), path_(folder_ + "/" + digest + ".json") {
    for (const char* name : {"http_proxy", "https_proxy", "HTTPS_PROXY", "no_proxy", "NO_PROXY", "all_proxy"}) {
      unsetenv(name);
    }
    std::filesystem::create_directories(folder_);
    setting("cache_directory", folder_);
    setting("profile", "dev");
    setting("max_attempts", "1");
  }

  void setting(const std::string& name, const std::string& value) { values_[name] = value; }

  Query query(std::chrono::milliseconds time) {
    settings_.clear();
    for (const auto& [name, value] : values_) settings_.push_back({name.c_str(), value.c_str()});
    return {Settings(settings_), nullptr, Deadline::in(time), clock_};
  }

  /// The access key id, or the error. Everything secret in these tests has "s3cret" in it.
  std::string told(const Result<Fetched>& found) {
    if (found) {
      EXPECT_TRUE(contains(std::string(found->secret_access_key.reveal()), "s3cret"));
      EXPECT_TRUE(contains(std::string(found->session_token.reveal()), "s3cret"));
      expires_ = found->expires;
      return found->access_key_id;
    }
    EXPECT_FALSE(contains(found.error().text, "\n")) << found.error().text;
    EXPECT_FALSE(contains(found.error().text, "s3cret")) << found.error().text;
    EXPECT_TRUE(found.error().text.starts_with("profile \"dev\": ")) << found.error().text;
    return found.error().text;
  }

  /// What a refresh sends: JSON, unsigned.
  static void expect_posted(const Heard& heard, const std::string& target, const Json::Value& body) {
    EXPECT_EQ(heard.method, "POST");
    EXPECT_EQ(heard.target, target);
    EXPECT_EQ(heard.headers.at("content-type"), "application/json");
    EXPECT_FALSE(heard.headers.contains("authorization"));
    EXPECT_EQ(parse_json_object(heard.body), body) << heard.body;
  }

  static std::string text_of(const std::string& path) {
    std::ifstream file(path);
    return {std::istreambuf_iterator<char>(file), {}};
  }
  Json::Value saved() const { return parse_json_object(text_of(path_)).value_or(Json::Value()); }
  void save(const Json::Value& object) const { std::ofstream(path_) << to_json(object, true).reveal(); }
  mode_t mode() const {
    struct stat info = {};
    stat(path_.c_str(), &info);
    return info.st_mode & 07777;
  }
  long files() const {
    return std::distance(std::filesystem::directory_iterator(folder_), std::filesystem::directory_iterator());
  }

  /// The folder and its file belong to nobody, and the folder may not be written.
  void forbid_writing() const {
    if (geteuid() == 0) {
      ASSERT_EQ(chown(path_.c_str(), 65534, 65534), 0);
      ASSERT_EQ(chown(folder_.c_str(), 65534, 65534), 0);
    }
    chmod(folder_.c_str(), 0500);
  }

  /// How many of `count` processes got keys with this id. They start when the server is there: it has threads, and a
  /// child that is forked beside threads tests libc.
  int processes(int count, const std::string& id, const std::function<std::string(const std::string& url)>& fetch,
                const HttpServer::Handler& handler, const std::function<void(const HttpServer&)>& look) {
    std::vector<pid_t> children;
    std::vector<int> pipes;
    for (int i = 0; i < count; ++i) {
      int ends[2];
      EXPECT_EQ(pipe2(ends, O_CLOEXEC), 0);
      const pid_t child = fork();
      if (child == 0) {
        char url[64] = "";
        if (read(ends[0], url, sizeof url - 1) <= 0) _exit(2);
        const std::string said = fetch(url);
        if (said != id) std::fprintf(stderr, "%s\n", said.c_str());
        _exit(said == id ? 0 : 1);
      }
      close(ends[0]);
      children.push_back(child);
      pipes.push_back(ends[1]);
    }
    const HttpServer server(handler);
    for (const int end : pipes) {
      EXPECT_GT(::write(end, server.url().data(), server.url().size()), 0);
      close(end);
    }
    int good = 0;
    for (const pid_t child : children) {
      int status = -1;
      waitpid(child, &status, 0);
      good += status == 0;
    }
    look(server);
    return good;
  }

  const std::string folder_;
  const std::string path_;
  Clock clock_;
  int64_t expires_ = 0;

 private:
  std::map<std::string, std::string> values_;
  std::vector<pqmint_setting> settings_;
};

}  // namespace pqmint::test
