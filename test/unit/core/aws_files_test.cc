// SPDX-License-Identifier: PostgreSQL
// The shared files: what the SDKs read from the same bytes, where the paths lead, and files that
// cannot be used.

#include "core/aws_files.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <pwd.h>
#include <sys/wait.h>

#include <atomic>
#include <chrono>
#include <set>
#include <thread>

#include "../support.h"

namespace pqmint {
namespace {

using test::contains;

/// Profiles as JSON, nested settings flat, to compare with what the SDKs made of them.
Json::Value as_json(const AwsSections& sections) {
  Json::Value out(Json::objectValue);
  for (const auto& [name, section] : sections) {
    out[name] = Json::Value(Json::objectValue);
    for (const auto& [key, value] : section) out[name][key] = std::string(value.reveal());
  }
  return out;
}

/// The same of botocore's answer: its sub-maps become keys, and the empty parent that we keep is
/// dropped from ours.
Json::Value flat(const Json::Value& profiles) {
  Json::Value out(Json::objectValue);
  for (const std::string& name : profiles.getMemberNames()) {
    out[name] = Json::Value(Json::objectValue);
    for (const std::string& key : profiles[name].getMemberNames()) {
      const Json::Value& value = profiles[name][key];
      if (!value.isObject()) {
        out[name][key] = value;
        continue;
      }
      out[name][key] = "";
      for (const std::string& sub : value.getMemberNames()) out[name][key + "." + sub] = value[sub];
    }
  }
  return out;
}

/// Both files merged, the credentials file's settings last.
Json::Value merged(const Json::Value& config, const Json::Value& credentials) {
  Json::Value out = config;
  for (const std::string& name : credentials.getMemberNames()) {
    for (const std::string& key : credentials[name].getMemberNames()) out[name][key] = credentials[name][key];
  }
  return out;
}

TEST(AwsFiles, ReadAsTheSdksReadThem) {
  // Where they disagree, or where we read more than either, the answer is written here.
  Json::Value own(Json::objectValue);
  const auto says = [&](const char* name, const char* profile, const char* key, const std::string& value) {
    own[name][profile][key] = value;
  };
  says("inline_hash", "default", "region", "us-east-1");  // as JS: comments go
  says("inline_hash", "default", "aws_access_key_id", "A");
  says("inline_hash", "default", "aws_secret_access_key", "B");
  says("inline_semicolon", "default", "region", "us-east-1");
  says("no_spaces_section", "default", "region", "a");               // as Go
  says("default_and_profile_default", "default", "region", "prof");  // as JS and Go
  says("no_value_key", "default", "output", "x");                    // as JS
  says("bom", "default", "region", "a");                             // as JS
  says("DEFAULT_upper", "foo", "output", "x");                       // as JS and Go
  says("nonutf8", "default", "region",
       "\xC3\xBF");                                          // bytes are bytes (the vector spells U+00FF as UTF-8)
  own["unclosed_section"] = Json::Value(Json::objectValue);  // as JS

  int rows = 0, agreed = 0;
  for (const Json::Value& row : test::vectors("aws_config_files.json")) {
    const std::string name = row["name"].asString();
    SCOPED_TRACE(name);
    const AwsFile config = parse_aws_file(row["config"].asString(), AwsFileKind::kConfig);
    const AwsFile credentials = parse_aws_file(row["credentials"].asString(), AwsFileKind::kCredentials);
    const Json::Value ours = merged(as_json(config.profiles), as_json(credentials.profiles));
    ++rows;
    if (own.isMember(name)) {
      EXPECT_EQ(ours, own[name]);
    } else if (row["botocore"].isMember("profiles")) {
      EXPECT_EQ(ours, flat(row["botocore"]["profiles"]));
      ++agreed;
    }
    if (row["botocore"].isMember("sso")) {
      EXPECT_EQ(as_json(config.sso_sessions), row["botocore"]["sso"]);
    }
  }
  EXPECT_GE(rows, 20);
  EXPECT_GE(agreed, 10);
}

std::string get(const AwsFile& file, const std::string& profile, const std::string& key) {
  const auto found = file.profiles.find(profile);
  return found == file.profiles.end() ? "(no profile)" : std::string(value_of(found->second, key));
}

std::string config_value(std::string_view text, const std::string& profile = "default", const std::string& key = "k") {
  return get(parse_aws_file(text, AwsFileKind::kConfig), profile, key);
}

TEST(AwsFiles, Values) {
  EXPECT_EQ(config_value("[default]\nk = v\n"), "v");
  EXPECT_EQ(config_value("[default]\r\nk=v\r\n"), "v");
  EXPECT_EQ(config_value("[default]\nK : v"), "v");
  EXPECT_EQ(config_value("[default]\nk = a=b:c"), "a=b:c");
  EXPECT_EQ(config_value("[default]\nk = a\t# c"), "a");
  EXPECT_EQ(config_value("[default]\nk = # c"), "");
  EXPECT_EQ(config_value("[default]\nk = a#b;c"), "a#b;c");
  EXPECT_EQ(config_value("[default]\nk =#b"), "#b");
  EXPECT_EQ(config_value("[default]\nk = 1\nk = 2"), "2");
  EXPECT_EQ(config_value("[default]\nk = 1\n[profile x]\nk=3\n[default]\nj = 2"), "1");
  EXPECT_EQ(config_value("[default]\nk = a\n  b\n\n  # c\n  d = e\n"), "a\nb\nd = e");
  EXPECT_EQ(config_value("  [default]\n  j = 1\n  k = 2\n"),
            "2");  // a whole section may be indented
  EXPECT_EQ(config_value("[default]\nk =\n  a = 1\n  junk\nj = 2", "default", "k.a"), "1");
  EXPECT_EQ(config_value("[default]\nk =\n  a = 1\nj = 2", "default", "j"), "2");
  // What a web page has between its words, at either end of a line, a key, a value or a name.
  EXPECT_EQ(config_value("\xC2\xA0[default]\xC2\xA0\nk\xC2\xA0 = \xE2\x80\x83v\xC2\xA0\xC2\xA0 \n"), "v");
  EXPECT_EQ(config_value("[profile\xC2\xA0x]\nk = v\n[profile x\xC2\xA0]\nk = w\n", "x"), "w");
  EXPECT_EQ(config_value("[default]\nk = a\xC2\xA0z"), "a\xC2\xA0z") << "within it, it is a character";
  EXPECT_EQ(config_value("[default]\nk = a\n\xC2\xA0"
                         "b\n"),
            "a\nb");
  EXPECT_EQ(config_value("k = lost\n[default]\n= nothing\nj\n"), "");
  EXPECT_EQ(config_value("k = lost\n"), "(no profile)");
  EXPECT_EQ(config_value(""), "(no profile)");
  EXPECT_EQ(config_value("\xEF\xBB\xBF"), "(no profile)");
  EXPECT_EQ(config_value(std::string_view("[default]\nk = \xFF\0x", 17)), std::string("\xFF\0x", 3));
}

TEST(AwsFiles, Sections) {
  EXPECT_EQ(config_value("[profile a b]\nk=v", "a b"), "v");
  EXPECT_EQ(config_value("[profile 'a b']\nk=v", "a b"), "v");
  EXPECT_EQ(config_value("[profile\tfoo ] ; c\nk=v", "foo"), "v");
  EXPECT_EQ(config_value("[foo]\nk=v", "foo"), "(no profile)");
  EXPECT_EQ(config_value("[profilefoo]\nk=v", "foo"), "(no profile)");
  EXPECT_EQ(config_value("[default]\nk=plain\n[profile default]\nj=2"),
            "");  // replaced, not merged
  EXPECT_EQ(config_value("[default]\nk=1\n[broken\nk=2\n"), "1");
  EXPECT_EQ(config_value("[default]\nk=1\n[plugins]\nk=2\n"), "1");

  const AwsFile credentials = parse_aws_file(
      "[profile foo]\nk=1\n[ default ]\nk=2\n[]\nk=3\n[a b]\nk=4\n[services x]\nk=5", AwsFileKind::kCredentials);
  EXPECT_EQ(get(credentials, "profile foo", "k"), "1");
  EXPECT_EQ(get(credentials, "default", "k"), "2");
  EXPECT_EQ(get(credentials, "a b", "k"), "4");
  EXPECT_EQ(credentials.services.size(), 0u);
  const AwsFile config =
      parse_aws_file("[services x]\ns3 =\n  endpoint_url = u\n[sso-session y]\nk=1", AwsFileKind::kConfig);
  EXPECT_EQ(value_of(config.services.at("x"), "s3.endpoint_url"), "u");
  EXPECT_EQ(value_of(config.sso_sessions.at("y"), "k"), "1");
  EXPECT_EQ(config.profiles.size(), 0u);
}

// Whatever 1 MiB says, it costs memory and time in proportion.
TEST(AwsFiles, NoFileTakesMoreThanItsShare) {
  const auto many = [](std::string text, const std::string& line, bool numbered) {
    for (int i = 0; text.size() + line.size() + 10 < kMaxAwsFile; ++i)
      text += line + (numbered ? std::to_string(i) : "") + "=\n";
    return text;
  };
  const AwsFile nested =
      parse_aws_file(many("[default]\n" + std::string(500'000, 'k') + " =\n", " n", true), AwsFileKind::kConfig);
  size_t size = 0;
  for (const auto& [key, value] : nested.profiles.at("default")) size += key.size() + value.size();
  EXPECT_LT(size, 64 * kMaxAwsFile);
  const auto begin = std::chrono::steady_clock::now();
  EXPECT_EQ(config_value(many("[default]\nk = v\n", " x", false)).substr(0, 7), "v\nx=\nx=");
  EXPECT_LT(std::chrono::steady_clock::now() - begin, std::chrono::seconds(3));
}

class AwsFilesOnDisk : public test::CleanEnvironment {};

std::string read_value(const std::string& key = "k") {
  const auto file = read_aws_file(AwsFileKind::kConfig);
  return file ? get(**file, "default", key) : file.error().text;
}

TEST_F(AwsFilesOnDisk, Paths) {
  const auto path = [](const char* value) {
    set("AWS_CONFIG_FILE", value);
    return aws_file_path(AwsFileKind::kConfig).path;
  };
  EXPECT_EQ(aws_file_path(AwsFileKind::kConfig).path, home + "/.aws/config");
  EXPECT_EQ(aws_file_path(AwsFileKind::kCredentials).path, home + "/.aws/credentials");
  EXPECT_EQ(path(""), home + "/.aws/config");
  EXPECT_FALSE(aws_file_path(AwsFileKind::kConfig).named);
  set("WHERE", "/some/place");
  EXPECT_EQ(path("~/x"), home + "/x");
  EXPECT_EQ(path("~"), home);
  EXPECT_EQ(path("~root/x"), std::string(getpwnam("root")->pw_dir) + "/x");
  EXPECT_EQ(path("~no-such-user-here/x"), "~no-such-user-here/x");
  EXPECT_EQ(path("$WHERE/x"), "/some/place/x");
  EXPECT_EQ(path("a${WHERE}b$WHERE"), "a/some/placeb/some/place");
  EXPECT_EQ(path("$NOT_SET_HERE/${NOT_SET_HERE}/$/${/x~"), "$NOT_SET_HERE/${NOT_SET_HERE}/$/${/x~");
  EXPECT_EQ(path("/plain"), "/plain");
  EXPECT_TRUE(aws_file_path(AwsFileKind::kConfig).named);
  unsetenv("AWS_CONFIG_FILE");
  set("HOME", "");
  EXPECT_EQ(aws_file_path(AwsFileKind::kConfig).path, std::string(getpwuid(geteuid())->pw_dir) + "/.aws/config");
}

TEST_F(AwsFilesOnDisk, MissingIsEmpty) {
  EXPECT_EQ(read_value(), "(no profile)");
  set("HOME", "/dev/null");
  EXPECT_EQ(read_value(), "(no profile)");
  set("AWS_CONFIG_FILE", "/dev/null");
  EXPECT_EQ(read_value(), "(no profile)");
  set("AWS_CONFIG_FILE", "/nowhere/config");
  EXPECT_EQ(read_value(), "(no profile)");
}

TEST_F(AwsFilesOnDisk, ChangesAreSeen) {
  config("[default]\nk=1\n");
  EXPECT_EQ(read_value(), "1");
  config("[default]\nk=2\n");  // same size, same millisecond
  EXPECT_EQ(read_value(), "2");
  std::this_thread::sleep_for(std::chrono::milliseconds(80));
  const auto first = read_aws_file(AwsFileKind::kConfig);
  const auto second = read_aws_file(AwsFileKind::kConfig);
  ASSERT_TRUE(first && second);
  EXPECT_EQ(*first, *second) << "not kept";
  config("[default]\nk=3\n");
  EXPECT_EQ(read_value(), "3");
  std::filesystem::remove(home + "/.aws/config");
  EXPECT_EQ(read_value(), "(no profile)");
  EXPECT_EQ(get(**first, "default", "k"), "2") << "what was handed out stays";
}

TEST_F(AwsFilesOnDisk, WhatCannotBeReadIsAnError) {
  set("AWS_CONFIG_FILE", home);
  EXPECT_TRUE(contains(read_value(), "cannot read " + home + ": it is a directory")) << read_value();
  set("AWS_CONFIG_FILE", "/dev/zero");
  EXPECT_TRUE(contains(read_value(), "neither a file nor a pipe")) << read_value();
  set("AWS_CONFIG_FILE", write("long", "[default]\nk=1\n" + std::string(kMaxAwsFile, '#')));
  EXPECT_TRUE(contains(read_value(), "larger than 1 MiB")) << read_value();
  // A gigabyte is not read to see that.
  std::filesystem::resize_file(home + "/long", 1 << 30);
  const size_t grown =
      test::peak_growth([] { EXPECT_TRUE(contains(read_value(), "larger than 1 MiB")) << read_value(); });
  EXPECT_LT(grown, 30u << 20);
  set("AWS_CONFIG_FILE", write("line", "[default]\nk=" + std::string(10 << 20, 'x')));
  EXPECT_TRUE(contains(read_value(), "larger than 1 MiB")) << "one line of 10 MB";
  set("AWS_CONFIG_FILE", write("just", "[default]\nk=1\n" + std::string(kMaxAwsFile - 14, '#')));
  EXPECT_EQ(read_value(), "1");
}

TEST_F(AwsFilesOnDisk, AFileThatOthersMayWriteIsReadAndNoted) {
  const std::string path = config("[default]\nk=1\n"), log = home + "/log";
  set("PQMINT_LOG", "info");
  set("PQMINT_LOG_FILE", log);
  const auto logged = [&] {
    std::ifstream file(log);
    return std::string(std::istreambuf_iterator<char>(file), {});
  };
  chmod(path.c_str(), 0664);
  EXPECT_EQ(read_value(), "1");
  EXPECT_EQ(logged(), "");
  chmod(path.c_str(), 0666);
  EXPECT_EQ(read_value(), "1");
  EXPECT_TRUE(contains(logged(), path)) << logged();
  EXPECT_TRUE(contains(logged(), "may be written by everybody")) << logged();
  if (geteuid() == 0) {
    ASSERT_EQ(chown(path.c_str(), 65534, 65534), 0);
    EXPECT_EQ(read_value(), "1");
    EXPECT_TRUE(contains(logged(), "belongs to another user")) << logged();
  }
  unsetenv("PQMINT_LOG");
  unsetenv("PQMINT_LOG_FILE");
}

// What Windows PowerShell's `>` writes. As bytes it has no profile, so another identity would be taken for the user's.
TEST_F(AwsFilesOnDisk, Utf16IsAnErrorAndNotAnEmptyFile) {
  std::string wide;
  for (const char c : std::string("[default]\r\nk=1\r\n")) wide.append(1, c).append(1, '\0');
  config("\xFF\xFE" + wide);
  EXPECT_TRUE(contains(read_value(), "it is UTF-16, and must be UTF-8")) << read_value();
  config(std::string("\xFE\xFF\0[", 4));
  EXPECT_TRUE(contains(read_value(), "it is UTF-16")) << read_value();
  config("\xEF\xBB\xBF[default]\nk=1\n");
  EXPECT_EQ(read_value(), "1") << "a mark of UTF-8 is none of the text";
}

/// Somebody swaps the file all the time: what is judged is what is read. (Judged by its name, a device would be read as
/// if it were the file, or a file refused for the folder that came after it.)
TEST_F(AwsFilesOnDisk, AFileThatIsSwappedIsJudgedAsItIsRead) {
  const std::string path = home + "/swapped";
  write("one", "[default]\nk=1\n");
  write("two", "[default]\nk=2\n");
  write("large", "[default]\nk=3\n" + std::string(kMaxAwsFile, '#'));
  std::filesystem::create_symlink("one", path);
  set("AWS_CONFIG_FILE", path);
  std::atomic<bool> is_over = false;
  std::thread racer([&] {
    const std::string targets[] = {"one", "two", "large", "/dev/zero", home, "/nowhere"};
    for (size_t i = 0; !is_over; ++i) {
      std::filesystem::create_symlink(targets[i % std::size(targets)], path + ".new");
      std::filesystem::rename(path + ".new", path);
    }
  });
  std::set<std::string> seen;
  const auto begin = std::chrono::steady_clock::now();
  for (int i = 0; i < 4000 && std::chrono::steady_clock::now() - begin < std::chrono::seconds(5); ++i) {
    seen.insert(read_value());
  }
  is_over = true;
  racer.join();
  for (const std::string& answer : seen) {
    const bool is_known = answer == "1" || answer == "2" || answer == "(no profile)" ||
                          contains(answer, "larger than 1 MiB") || contains(answer, "neither a file nor a pipe") ||
                          contains(answer, "it is a directory");
    EXPECT_TRUE(is_known) << answer;
  }
  EXPECT_GE(seen.size(), 3u) << "there was no race";
  // And nothing of one file is kept for the other.
  for (const char* target : {"one", "two", "one"}) {
    std::filesystem::remove(path);
    std::filesystem::create_symlink(target, path);
    EXPECT_EQ(read_value(), target == std::string("two") ? "2" : "1");
  }
}

TEST_F(AwsFilesOnDisk, ClosedFiles) {
  const std::string path = config("[default]\nk=1\n");
  chmod(path.c_str(), 0);
  // root reads everything, so somebody else has to try.
  const auto as_nobody = [&](auto check) {
    const pid_t child = fork();
    if (child == 0) {
      if (geteuid() == 0 && seteuid(65534) != 0) _exit(2);
      _exit(check() ? 0 : 1);
    }
    int status = -1;
    waitpid(child, &status, 0);
    return status == 0;
  };
  EXPECT_TRUE(as_nobody([&] { return contains(read_value(), "cannot read " + path + ": Permission denied"); }));
  // A home that is closed as a whole holds nothing that was meant for this user, unless the file is
  // named.
  chmod((home + "/.aws").c_str(), 0);
  EXPECT_TRUE(as_nobody([&] { return read_value() == "(no profile)"; }));
  set("AWS_CONFIG_FILE", path);
  EXPECT_TRUE(as_nobody([&] { return contains(read_value(), "Permission denied"); }));
  chmod((home + "/.aws").c_str(), 0755);
}

TEST_F(AwsFilesOnDisk, PipesAreReadOnceAndKept) {
  int ends[2];
  ASSERT_EQ(pipe(ends), 0);
  const std::string text = "[default]\nk=1\n";
  std::thread writer([&] {
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
    EXPECT_EQ(::write(ends[1], text.data(), text.size()), static_cast<ssize_t>(text.size()));
    close(ends[1]);
  });
  set("AWS_CONFIG_FILE", "/proc/self/fd/" + std::to_string(ends[0]));
  EXPECT_EQ(read_value(), "1");
  EXPECT_EQ(read_value(), "1");
  writer.join();
  close(ends[0]);
}

TEST_F(AwsFilesOnDisk, NoDescriptorIsLeftOpen) {
  config("[default]\nk=1\n");
  const auto count = [] {
    const auto entries = std::filesystem::directory_iterator("/proc/self/fd");
    return std::distance(begin(entries), end(entries));
  };
  const auto before = count();
  for (int i = 0; i < 10; ++i) read_value();
  set("AWS_CONFIG_FILE", home);
  read_value();
  EXPECT_EQ(count(), before);
}

TEST_F(AwsFilesOnDisk, ThreadsAndForks) {
  config("[default]\nk=1\n");
  std::this_thread::sleep_for(std::chrono::milliseconds(60));
  std::atomic<bool> stop = false;
  std::atomic<int> wrong = 0;
  std::vector<std::thread> threads;
  for (int thread = 0; thread < 8; ++thread) {
    threads.emplace_back([&] {
      while (!stop) {
        if (read_value() != "1") ++wrong;
      }
    });
  }
  for (int i = 0; i < test::kForks; ++i) {
    const pid_t child = fork();
    if (child == 0) {
      alarm(20);
      _exit(read_value() == "1" ? 0 : 1);
    }
    int status = -1;
    waitpid(child, &status, 0);
    EXPECT_EQ(status, 0);
  }
  stop = true;
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(wrong, 0);
}

}  // namespace
}  // namespace pqmint
