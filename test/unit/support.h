// SPDX-License-Identifier: PostgreSQL
// What the unit tests share: the vectors, and an environment without anybody's AWS settings in it.
#pragma once

#include <gtest/gtest.h>
#include <json/json.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <functional>
#include <string>
#include <vector>

namespace pqmint::test {

#if defined(__SANITIZE_ADDRESS__)
#define PQMINT_TEST_ADDRESS_SANITIZER 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define PQMINT_TEST_ADDRESS_SANITIZER 1
#endif
#endif

/// How often to fork beside busy threads. The address sanitizer's allocator keeps its locks over a
/// fork, and a child hangs in malloc sooner or later, whatever the code under test does.
#ifdef PQMINT_TEST_ADDRESS_SANITIZER
inline constexpr int kForks = 0;
#else
inline constexpr int kForks = 50;
#endif

inline Json::Value vectors(const std::string& name) {
  const char* directory = getenv("PQMINT_TEST_VECTORS");
  const std::string path = std::string(directory != nullptr ? directory : "test/vectors") + "/" + name;
  std::ifstream file(path);
  Json::Value root;
  std::string errors;
  if (!Json::parseFromStream(Json::CharReaderBuilder(), file, &root, &errors)) {
    ADD_FAILURE() << "cannot read " << path << ": " << errors;
  }
  return root;
}

/// A home of its own and no variable of AWS or Azure but the one that keeps everything away from the instance
/// metadata service.
class CleanEnvironment : public ::testing::Test {
 protected:
  CleanEnvironment() {
    std::vector<std::string> names;
    for (char** entry = environ; *entry != nullptr; ++entry) {
      const std::string text = *entry;
      for (const char* prefix : {"AWS_", "AZURE_", "IDENTITY_", "MSI_", "IMDS_", "SSL_CERT_", "CURL_CA_"}) {
        if (text.starts_with(prefix)) names.push_back(text.substr(0, text.find('=')));
      }
    }
    for (const std::string& name : names) unsetenv(name.c_str());
    set("AWS_EC2_METADATA_DISABLED", "true");
    std::string pattern = ::testing::TempDir() + "pqmint-XXXXXX";
    home = mkdtemp(pattern.data());
    chmod(home.c_str(), 0755);
    set("HOME", home);
    std::filesystem::create_directory(home + "/.aws");
  }
  ~CleanEnvironment() override {
    std::error_code ignored;
    open_again(home);
    std::filesystem::remove_all(home, ignored);
  }

  static void set(const char* name, const std::string& value) { setenv(name, value.c_str(), 1); }

  std::string write(const std::string& name, std::string_view text) const {
    const std::string path = home + "/" + name;
    std::ofstream(path, std::ios::binary) << text;
    return path;
  }
  std::string config(const std::string& text) const { return write(".aws/config", text); }
  std::string credentials(const std::string& text) const { return write(".aws/credentials", text); }

  std::string home;

 private:
  // A test may have closed a folder to its own user.
  static void open_again(const std::filesystem::path& folder) {
    std::error_code ignored;
    std::filesystem::permissions(folder, std::filesystem::perms::owner_all, std::filesystem::perm_options::add,
                                 ignored);
    for (const auto& entry : std::filesystem::directory_iterator(folder, ignored)) {
      if (entry.is_directory(ignored) && !entry.is_symlink(ignored)) open_again(entry.path());
    }
  }
};

/// How many bytes of memory this process held at most while `work` was done, beyond what it held before.
inline size_t peak_growth(const std::function<void()>& work) {
  const auto line = [](const std::string& name) {
    std::ifstream status("/proc/self/status");
    for (std::string text; std::getline(status, text);) {
      if (text.starts_with(name)) return std::stoul(text.substr(name.size())) * 1024;
    }
    return size_t{0};
  };
  std::ofstream("/proc/self/clear_refs") << "5";  // the peak begins anew
  const size_t before = line("VmRSS:");
  work();
  const size_t peak = line("VmHWM:");
  return peak > before ? peak - before : 0;
}

inline bool contains(const std::string& text, std::string_view part) {
  return text.find(part) != std::string::npos;
}

}  // namespace pqmint::test
