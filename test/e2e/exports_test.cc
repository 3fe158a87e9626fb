// SPDX-License-Identifier: PostgreSQL
// What the objects show of themselves and what they need: a leak of either would break somebody's program.
#include <gtest/gtest.h>

#include <regex>
#include <set>
#include <sstream>

#include "harness.h"

namespace pqmint::test {
namespace {

using Names = std::set<std::string>;

Names matches(const std::string& text, const std::string& pattern) {
  const std::regex regex(pattern);
  Names out;
  for (std::sregex_iterator at(text.begin(), text.end(), regex), end; at != end; ++at) out.insert((*at)[1]);
  return out;
}

Names exports(const std::string& object) {
  const Outcome nm = run({"nm", "-D", "--defined-only", stage() + "/lib/" + object}, Environment());
  EXPECT_EQ(nm.status, 0) << nm.err;
  // Every kind of symbol: a weak one or a std:: template that leaks is as bad as a function.
  return matches(nm.out, "[0-9a-f]+ . (\\S+)");
}

Names needed(const std::string& object) {
  const Outcome readelf = run({"readelf", "-d", stage() + "/lib/" + object}, Environment());
  EXPECT_EQ(readelf.status, 0) << readelf.err;
  return matches(readelf.out, "\\(NEEDED\\).*\\[(.*)\\]");
}

TEST(Exports, PreloadShowsTheInterposedNamesOnly) {
  EXPECT_EQ(exports("libpqmint.so"),
            (Names{"PQconnectdb", "PQconnectdbParams", "PQconnectStart", "PQconnectStartParams", "PQsetdbLogin",
                   "PQconnectPoll", "PQreset", "PQresetStart", "PQresetPoll", "PQping", "PQpingParams", "PQfinish",
                   "PQconninfo"}));
}

TEST(Exports, ModulesShowTheirOneEntry) {
  EXPECT_EQ(exports("pqmint/core.so"), Names{"pqmint_core"});
  EXPECT_EQ(exports("pqmint/net.so"), Names{"pqmint_net"});
}

TEST(Exports, PreloadNeedsLibcOnly) {
  EXPECT_EQ(needed("libpqmint.so"), Names{"libc.so.6"});
}

TEST(Exports, CoreBringsItsOwnRuntime) {
  const Names names = needed("pqmint/core.so");
  EXPECT_TRUE(names.count("libcrypto.so.3"));
  for (const char* never :
       {"libstdc++.so.6", "libgcc_s.so.1", "libssl.so.3", "libcurl.so.4", "libjsoncpp.so.25", "libpq.so.5"}) {
    EXPECT_FALSE(names.count(never)) << never;
  }
}

TEST(Exports, PreloadHasNoGlobalConstructors) {
  const Outcome readelf = run({"readelf", "-S", "-W", stage() + "/lib/libpqmint.so"}, Environment());
  // frame_dummy, which the compiler's own crtbegin puts there: 8 bytes, one pointer.
  std::smatch size;
  if (std::regex_search(readelf.out, size, std::regex("\\.init_array\\s+INIT_ARRAY\\s+\\S+\\s+\\S+\\s+(\\S+)"))) {
    EXPECT_EQ(std::stoul(size[1], nullptr, 16), 8u);
  }
}

// glibc 2.34 moved most of its functions into one file, and what is built since then asks for it. Our own code shall
// not ask for more; README.md says so. What the toolchain adds is its own: who builds with a newer one needs a newer
// glibc.
TEST(Exports, NoNewerGlibcIsAskedForThanIsSaid) {
  constexpr int kNewest = 34;
  const std::regex needs("\\(GLIBC_2\\.([0-9]+)[0-9.]*\\) +(\\S+)");
  const std::regex toolchain("_dl_find_object|__libc_.*|__isoc23_.*");
  for (const char* object : {"lib/libpqmint.so", "lib/libpqmint-api.so.0", "lib/pqmint/core.so", "lib/pqmint/net.so",
                             "lib/pqmint/pqmint-tool", "bin/pqmint"}) {
    const Outcome objdump = run({"objdump", "-T", stage() + "/" + object}, Environment());
    std::sregex_iterator at(objdump.out.begin(), objdump.out.end(), needs);
    EXPECT_NE(at, std::sregex_iterator()) << object << ": " << objdump.err;
    for (; at != std::sregex_iterator(); ++at) {
      const std::string name = (*at)[2];
      EXPECT_TRUE(std::stoi((*at)[1]) <= kNewest || std::regex_match(name, toolchain)) << object << " needs " << name;
    }
  }
}

TEST(Exports, ObjectsAreHardened) {
  for (const char* object :
       {"libpqmint.so", "libpqmint-api.so", "pqmint/core.so", "pqmint/net.so", "pqmint/pqmint-tool", "../bin/pqmint"}) {
    const Outcome readelf =
        run({"readelf", "-h", "-l", "-d", "--dyn-syms", "-W", stage() + "/lib/" + object}, Environment());
    const auto has = [&](const char* pattern) { return std::regex_search(readelf.out, std::regex(pattern)); };
    EXPECT_TRUE(has("Type: +DYN")) << object << " cannot be loaded anywhere";
    EXPECT_TRUE(has("GNU_RELRO")) << object;
    EXPECT_TRUE(has("FLAGS.*NOW")) << object;
    EXPECT_TRUE(has("GNU_STACK.* RW ")) << object;
    EXPECT_FALSE(has("LOAD .* RWE ")) << object << " can be written to and run";
    EXPECT_FALSE(has("TEXTREL")) << object;
    EXPECT_FALSE(has("\\((RPATH|RUNPATH)\\)")) << object << " looks for libraries in a folder of somebody's";
    EXPECT_TRUE(has("__stack_chk_fail")) << object;
    EXPECT_TRUE(has("__\\w+_chk@")) << object << " was built without _FORTIFY_SOURCE";
  }
}

}  // namespace
}  // namespace pqmint::test
