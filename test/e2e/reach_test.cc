// SPDX-License-Identifier: PostgreSQL
// Programs that a preload alone does not reach, the libpq that each of them keeps, and what `pqmint doctor` says.
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>

#include "harness.h"

namespace pqmint::test {
namespace {

namespace fs = std::filesystem;

constexpr char kLibpq[] = "libpq.so.5";

bool has(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

size_t count(const std::string& text, const std::string& part) {
  size_t n = 0;
  for (size_t at = 0; (at = text.find(part, at)) != std::string::npos; at += part.size()) ++n;
  return n;
}

class Reach : public ::testing::Test {
 protected:
  // Folders of links are the test's own: else root's would stay in /run.
  Reach() {
    chmod(environment_.home().c_str(), 0755);
    environment_.set("RUNTIME_DIRECTORY", environment_.home());
  }

  Outcome pqmint(std::vector<std::string> words) {
    words.insert(words.begin(), installed_ + "/bin/pqmint");
    return run(words, environment_);
  }
  Outcome run_through(std::vector<std::string> words) {
    words.insert(words.begin(), "run");
    return pqmint(words);
  }

  // The libpq of the system, where the loader finds it.
  static std::string system_libpq() {
    const Outcome ldd = run({"ldd", kPsql}, Environment());
    const size_t at = ldd.out.find("=> ", ldd.out.find(kLibpq)) + 3;
    return ldd.out.substr(at, ldd.out.find(' ', at) - at);
  }
  // A folder with a copy of it.
  std::string folder_with_libpq(const std::string& name) {
    const std::string folder = environment_.home() + "/" + name;
    fs::create_directory(folder);
    fs::copy_file(system_libpq(), folder + "/" + kLibpq);
    return folder;
  }
  // psql as its builder may have linked it.
  std::string psql_with(const std::string& option, const std::string& folder) {
    const std::string program = environment_.home() + "/psql" + option;
    fs::copy_file(kPsql, program);
    std::vector<std::string> argv = {"patchelf", "--set-rpath", folder, program};
    if (option == "rpath") argv.insert(argv.begin() + 1, "--force-rpath");
    EXPECT_EQ(run(argv, Environment()).status, 0);
    return program;
  }
  // The files of the process that match `part`, as seen from inside it.
  std::string mapped(const std::string& program, const std::string& part) {
    const std::string script = "\\! grep -o '/[^ ]*" + part + "[^ ]*' /proc/$PPID/maps | sort -u";
    const std::string conninfo =
        "host=localhost hostaddr=127.0.0.1 user=plain password=plainpw port=" + std::to_string(server_.port()) +
        " dbname=app";
    allow_argument(conninfo);
    return run_through({program, "-XAtc", script, conninfo}).out;
  }

  Environment environment_ = Environment().keys();
  std::string installed_ = stage();
  Server& server_ = Server::get();
  std::string good_ = server_.conninfo(kWriter, "iam_user");
};

// psycopg 3 without its C part, and all else that asks dlsym: bound to libpq past what is preloaded.
constexpr char kByDlsym[] = R"(
import ctypes, sys
pq = ctypes.CDLL("libpq.so.5")
pq.PQconnectdb.restype = pq.PQexec.restype = ctypes.c_void_p
pq.PQerrorMessage.restype = pq.PQgetvalue.restype = ctypes.c_char_p
conn = ctypes.c_void_p(pq.PQconnectdb(sys.argv[1].encode()))
result = ctypes.c_void_p(pq.PQexec(conn, b"select current_user"))
print((pq.PQgetvalue(result, 0, 0) or pq.PQerrorMessage(conn)).decode())
)";

TEST_F(Reach, WhoLooksLibpqUpByDlsym) {
  server_.verdicts();
  EXPECT_EQ(run_through({"/usr/bin/python3", "-c", kByDlsym, good_}).out, "iam_user\n");
  EXPECT_EQ(count(server_.verdicts(), "accept"), 1U);
  const SecretsAreWanted environment_has_keys;
  EXPECT_FALSE(has(pqmint({"run", "--preload-only", "/usr/bin/python3", "-c", "import os; print(os.environ)"}).out,
                   "LD_LIBRARY_PATH"));
}

// Each of an application's objects has the name in its path.
TEST_F(Reach, AnApplicationThatIsNamedAfterLibpq) {
  const std::string folder = environment_.home() + "/libpq-app";
  fs::create_directory(folder);
  for (int i = 0; i < 20; ++i) fs::copy_file(built("test/e2e/counting_core.so"), folder + "/" + std::to_string(i));
  const std::string loads = "import ctypes, os, sys\nfor f in os.scandir(sys.argv[2]): ctypes.CDLL(f.path)\n";
  const Outcome python = run_through({"/usr/bin/python3", "-c", loads + kByDlsym, good_, folder});
  EXPECT_EQ(python.out, "iam_user\n") << python.err;
}

// As PHP loads its extensions.
TEST_F(Reach, WhoBindsPluginsToTheirOwnLibraries) {
  const std::vector<std::string> host = {built("test/e2e/plugin_host"), built("test/e2e/plugin.so"), good_};
  server_.verdicts();
  EXPECT_EQ(run_through(host).out, "iam_user\n");
  EXPECT_EQ(count(server_.verdicts(), "accept"), 1U);
  const Outcome alone = run(host, Environment(environment_).preload());
  EXPECT_TRUE(has(alone.out, "no password supplied")) << alone.out;
}

TEST_F(Reach, LinkedProgramsMintOnce) {
  server_.verdicts();
  EXPECT_EQ(run_through({kPsql, "-XAtc", "select current_user", good_}).out, "iam_user\n");
  EXPECT_EQ(count(server_.verdicts(), "accept"), 1U);
}

// By RPATH the loader finds a program's own libpq before LD_LIBRARY_PATH, by RUNPATH after it: either way it stays.
TEST_F(Reach, AProgramKeepsTheLibpqThatItWouldHaveHad) {
  EXPECT_EQ(count(mapped(kPsql, "libpq.so.5."), fs::canonical(system_libpq()).string()), 1U);
  for (const std::string option : {"rpath", "runpath"}) {
    const std::string folder = folder_with_libpq("of-" + option);
    const std::string program = psql_with(option, folder);
    EXPECT_TRUE(has(mapped(program, kLibpq), folder + "/" + kLibpq)) << option << "\n" << mapped(program, kLibpq);
    EXPECT_FALSE(has(mapped(program, kLibpq), system_libpq())) << option;
    EXPECT_EQ(run_through({program, "-XAtc", "select current_user", good_}).out, "iam_user\n") << option;
  }
  const std::string folder = folder_with_libpq("named");
  environment_.set("LD_LIBRARY_PATH", "/nowhere:" + folder);
  EXPECT_TRUE(has(mapped(kPsql, kLibpq), folder + "/" + kLibpq));
  EXPECT_EQ(run_through({kPsql, "-XAtc", "select current_user", good_}).out, "iam_user\n");
  EXPECT_EQ(run_through({"/usr/bin/python3", "-c", kByDlsym, good_}).out, "iam_user\n");
}

// A wheel's own libpq in the same process: each caller gets the one that it binds to.
TEST_F(Reach, ASecondLibpqDoesNotConfuseTheFirst) {
  const std::string copy = folder_with_libpq("wheel") + "/libpq-3f2a.so.5";
  fs::rename(environment_.home() + "/wheel/" + kLibpq, copy);
  ASSERT_EQ(run({"patchelf", "--set-soname", "libpq-3f2a.so.5", copy}, Environment()).status, 0);
  const std::string script =
      "import ctypes, sys\nctypes.CDLL(sys.argv[2])\nimport psycopg2\nc = psycopg2.connect(sys.argv[1])\n"
      "k = c.cursor()\nk.execute('select current_user')\nprint(k.fetchone()[0])\n";
  const Outcome python = run_through({"/usr/bin/python3", "-c", script, good_, copy});
  EXPECT_EQ(python.out, "iam_user\n") << python.err;
}

// A shell script around a program with a libpq of its own.
TEST_F(Reach, AWrapperKeepsTheLibpqOfItsProgram) {
  const std::string folder = folder_with_libpq("private");
  const std::string wrapper = environment_.home() + "/wrapper";
  write_file(wrapper, "#!/bin/sh\nexec '" + psql_with("runpath", folder) + "' \"$@\"\n", 0755);
  EXPECT_TRUE(has(mapped(wrapper, kLibpq), folder + "/" + kLibpq));
}

TEST_F(Reach, WhatTheUserSetStaysBehindOurs) {
  const auto lists = [&] { return run_through({"/bin/sh", "-c", "echo $LD_PRELOAD; echo $LD_LIBRARY_PATH"}).out; };
  const std::string library = installed_ + "/lib/libpqmint.so", folder = installed_ + "/lib/pqmint";
  EXPECT_EQ(lists(), library + "\n" + folder + "\n");
  environment_.set("LD_LIBRARY_PATH", "/one:/two").set("LD_PRELOAD", "");
  EXPECT_EQ(lists(), library + "\n" + folder + ":/one:/two\n");
  // One inside the other.
  environment_.set("LD_LIBRARY_PATH", folder + "::/one/pqmint").set("LD_PRELOAD", library);
  EXPECT_EQ(lists(), library + "\n" + folder + "::/one/pqmint\n");
}

// The command asks a plain libpq, whatever it was started from.
TEST_F(Reach, TheCommandWorksInsideOfARun) {
  const SecretsAreWanted a_token;
  const Outcome token =
      run_through({"/bin/sh", "-c", "exec " + installed_ + "/bin/pqmint token 'host=" + kWriter + " user=u'"});
  EXPECT_EQ(count(token.out, "X-Amz-Signature="), 1U) << token.err;
}

// Started by a user without rights: root has places of its own for its folders of links.
class ReachFromABlankPath : public Reach {
 protected:
  static constexpr unsigned kNobody = 65534;

  ReachFromABlankPath() {
    const std::string place = environment_.home() + "/with blanks: and more";
    fs::copy(stage(), place, fs::copy_options::recursive | fs::copy_options::copy_symlinks);
    installed_ = place;
    if (geteuid() == 0) run({"chown", "-R", std::to_string(kNobody), environment_.home()}, Environment());
  }
  Outcome run_through(std::vector<std::string> words) {
    words.insert(words.begin(), {installed_ + "/bin/pqmint", "run"});
    if (geteuid() == 0) {
      words.insert(words.begin(), {"setpriv", "--reuid=" + std::to_string(kNobody), "--clear-groups"});
    }
    return run(words, environment_);
  }
  std::string preloaded() { return run_through({"/bin/sh", "-c", "cd /; echo $LD_PRELOAD; cat $LD_PRELOAD >&-"}).out; }
  std::string links() const { return environment_.home() + "/pqmint"; }
};

TEST_F(ReachFromABlankPath, BothWaysWork) {
  EXPECT_EQ(run_through({kPsql, "-XAtc", "select current_user", good_}).out, "iam_user\n");
  EXPECT_EQ(run_through({"/usr/bin/python3", "-c", kByDlsym, good_}).out, "iam_user\n");
  // The same folder of links serves all, and what was left of a race is gone.
  EXPECT_EQ(std::distance(fs::directory_iterator(links()), fs::directory_iterator()), 1);
}

// Sweepers of old files take single links; a release may want one more than the last.
TEST_F(ReachFromABlankPath, AFolderOfLinksIsMendedInItsPlace) {
  const std::string preload = preloaded();
  const fs::path library = preload.substr(0, preload.find('\n')), folder = library.parent_path();
  const auto whole = [&] {
    return run({"/bin/sh", "-c", R"(find "$0" -printf '%P %l\n' | sort)", folder}, Environment()).out;
  };
  const std::string before = whole();
  ASSERT_TRUE(has(before, "pqmint/core.so /")) << before;
  const auto expect_mended = [&](const std::string& damage) {
    EXPECT_EQ(preloaded(), preload) << damage;
    EXPECT_EQ(whole(), before) << damage;
    EXPECT_EQ(std::distance(fs::directory_iterator(links()), fs::directory_iterator()), 1) << damage;
  };
  fs::remove(folder / "pqmint/core.so");
  expect_mended("one link is gone");
  fs::remove_all(folder / "pqmint");
  expect_mended("a folder is gone");
  fs::remove(library);
  fs::create_symlink("/nowhere", library);
  ASSERT_TRUE(geteuid() != 0 || lchown(library.c_str(), kNobody, kNobody) == 0);
  expect_mended("one leads elsewhere");
}

TEST_F(ReachFromABlankPath, AFolderOfLinksThatOthersMayWriteToIsPassedOver) {
  const fs::path folder = fs::path(preloaded()).parent_path();
  ASSERT_EQ(chmod((folder / "pqmint").c_str(), 0777), 0);
  const std::string elsewhere = environment_.home() + "/temporary";
  fs::create_directory(elsewhere);
  ASSERT_TRUE(geteuid() != 0 || chown(elsewhere.c_str(), kNobody, kNobody) == 0);
  environment_.set("TMPDIR", elsewhere).set("HOME", "/nonexistent");
  EXPECT_TRUE(preloaded().starts_with(elsewhere + "/pqmint-"));
}

TEST_F(ReachFromABlankPath, OnlyAFolderOfOurOwnIsTrusted) {
  if (geteuid() != 0) GTEST_SKIP() << "only root can make another user's folder";
  const std::string trap = environment_.home() + "/trap";
  fs::create_directory(trap);
  chmod(trap.c_str(), 01777);
  const std::string bait = trap + "/pqmint-" + std::to_string(kNobody);
  fs::create_directory(bait);
  ASSERT_EQ(chown(bait.c_str(), 0, 0), 0);
  environment_.set("TMPDIR", trap).set("HOME", bait);
  for (const char* place : {"RUNTIME_DIRECTORY", "XDG_RUNTIME_DIR", "XDG_CACHE_HOME"}) environment_.set(place, bait);
  const std::string preload = preloaded();
  EXPECT_FALSE(has(preload, bait + "/")) << preload;
  EXPECT_TRUE(has(preload, trap + "/pqmint-") && has(preload, "libpqmint.so")) << preload;
}

TEST_F(ReachFromABlankPath, ATmpdirThatCannotServeIsPassedOver) {
  environment_.unset("RUNTIME_DIRECTORY").set("HOME", "/nonexistent");
  const std::string blank = environment_.home() + "/with blanks: and more";
  for (const std::string& bad : {std::string("/proc"), std::string("."), blank}) {
    environment_.set("TMPDIR", bad);
    const std::string preload = preloaded();
    EXPECT_TRUE(preload.starts_with("/tmp/pqmint-") && has(preload, "libpqmint.so")) << bad << ": " << preload;
    fs::remove_all(fs::path(preload).parent_path());
  }
  for (const auto& entry : fs::directory_iterator(blank)) {
    EXPECT_FALSE(has(entry.path().filename(), "pqmint-")) << entry.path();
  }
}

// What lives as long as the service or the session comes first, and what is swept comes last.
TEST_F(ReachFromABlankPath, ThePlacesHaveAnOrder) {
  const std::string home = environment_.home();
  const auto make = [&](const std::string& name) {
    const std::string folder = home + "/" + name;
    fs::create_directory(folder);
    EXPECT_TRUE(geteuid() != 0 || chown(folder.c_str(), kNobody, kNobody) == 0);
    return folder;
  };
  environment_.set("RUNTIME_DIRECTORY", make("service") + ":" + make("second"))
      .set("XDG_RUNTIME_DIR", make("session"))
      .set("XDG_CACHE_HOME", make("cache"))
      .set("TMPDIR", make("temporary"));
  const auto expect_in = [&](const std::string& place) {
    const std::string preload = preloaded();
    EXPECT_TRUE(preload.starts_with(home + place)) << place << ": " << preload;
  };
  expect_in("/service/pqmint/");
  environment_.unset("RUNTIME_DIRECTORY");
  expect_in("/session/pqmint/");
  environment_.unset("XDG_RUNTIME_DIR");
  expect_in("/cache/pqmint/");
  environment_.unset("XDG_CACHE_HOME");
  expect_in("/.cache/pqmint/");
  environment_.set("HOME", "/nonexistent");
  expect_in("/temporary/pqmint-");
}

// A daemon that root starts becomes another user, who cannot enter /run/user/0, and whose umask was root's.
TEST_F(ReachFromABlankPath, ADaemonsUserCanEnterRootsFolderOfLinks) {
  if (geteuid() != 0) GTEST_SKIP() << "only root becomes another user";
  const std::string own = environment_.home() + "/of-root";
  ASSERT_EQ(mkdir(own.c_str(), 0700), 0);
  environment_.set("RUNTIME_DIRECTORY", own).set("XDG_RUNTIME_DIR", own);
  const Outcome daemon = pqmint(
      {"run", "setpriv", "--reuid=" + std::to_string(kNobody), "--clear-groups", "/bin/sh", "-c", "echo $LD_PRELOAD"});
  EXPECT_TRUE(daemon.out.starts_with("/run/pqmint/")) << daemon.out;
  EXPECT_EQ(daemon.err, "");
  fs::remove_all(fs::path(daemon.out).parent_path());
}

// With nowhere to write. Root of a namespace, so both as root and as somebody else.
TEST_F(Reach, WithoutAPlaceForLinksItSaysWhatIsLost) {
  if (run({"unshare", "--map-root-user", "--mount", "true"}, environment_).status != 0) {
    GTEST_SKIP() << "this machine lets nobody make a mount namespace";
  }
  const std::string own = folder_with_libpq("own");
  constexpr char kScript[] = R"(
set -e
mount -t tmpfs none /mnt
mkdir '/mnt/with blank' /mnt/plain /mnt/own
mount --bind "$1" '/mnt/with blank'
mount --bind "$1" /mnt/plain
mount --bind "$2" /mnt/own
mount -t tmpfs -o ro none /run
mount -t tmpfs -o ro none /tmp
cd /
unset RUNTIME_DIRECTORY
export HOME=/nonexistent TMPDIR=/proc
"/mnt/with blank/bin/pqmint" run echo started || echo "status $?"
LD_LIBRARY_PATH=/mnt/own /mnt/plain/bin/pqmint run sh -c 'echo "$LD_PRELOAD $LD_LIBRARY_PATH"'
)";
  const Outcome outcome =
      run({"unshare", "--map-root-user", "--mount", "/bin/sh", "-c", kScript, "sh", installed_, own}, environment_);
  EXPECT_EQ(outcome.out, "status 126\n/mnt/plain/lib/libpqmint.so /mnt/own\n") << outcome.err;
  const std::string places =
      "RUNTIME_DIRECTORY, /run (root's), XDG_RUNTIME_DIR, XDG_CACHE_HOME (or ~/.cache), TMPDIR or /tmp (Read-only file "
      "system)";
  EXPECT_EQ(outcome.err,
            "pqmint: /mnt/with blank/lib/libpqmint.so cannot be preloaded, because its path has a blank, a colon or a "
            "semicolon in it, and no folder of links can be made in " +
                places +
                "; name a TMPDIR that can be written to\n"
                "pqmint: cannot make a folder of links in " +
                places +
                ": programs that look libpq up past LD_PRELOAD are not reached; name a TMPDIR that can be written "
                "to\n");
}

class Doctor : public Reach {
 protected:
  void expect(const std::string& program, int status, const std::string& part) {
    const Outcome outcome = pqmint({"doctor", program});
    EXPECT_EQ(outcome.status, status) << outcome.out << outcome.err;
    EXPECT_TRUE(has(outcome.out, part)) << "no \"" << part << "\" in: " << outcome.out << outcome.err;
    EXPECT_EQ(count(outcome.out, "\n"), 1U) << outcome.out;
  }
  // A copy of a program, changed.
  std::string altered(const std::string& name, size_t offset, const std::string& bytes) {
    const std::string copy = environment_.home() + "/" + name;
    std::string text = read_file("/bin/true");
    text.replace(offset == std::string::npos ? text.size() : offset, bytes.size(), bytes);
    write_file(copy, text, 0755);
    return copy;
  }
};

TEST_F(Doctor, KnowsWhoIsReached) {
  expect(kPsql, 0, "linked with libpq (" + fs::canonical(system_libpq()).string() + ")");
  expect("/usr/bin/psql", 0, "a wrapper of /usr/lib/postgresql/");
  expect("/usr/bin/python3", 0, "by the stand-in");
  expect(built("test/e2e/plugin_host"), 0, "by the stand-in");
  expect(psql_with("rpath", folder_with_libpq("own")), 0, "RPATH leads to its libpq");
  const std::string script = environment_.home() + "/script";
  write_file(script, "#!/usr/bin/env -S python3 -u\nprint(1)\n", 0755);
  expect(script, 0, "a script for /usr/bin/python3");
  for (const char* line : {"env python3", "env -S -i -u HOME -C / -- PGHOST=x python3 -u", "env -Spython3",
                           "env -vS -uHOME python3", "env --split-string=-iv --unset=HOME --chdir / python3 -u"}) {
    write_file(script, std::string("#!/usr/bin/") + line + "\nprint(1)\n", 0755);
    expect(script, 0, "a script for /usr/bin/python3");
  }
  write_file(script, "#!/bin/sh\npsql\n", 0755);
  expect(script, 0, "the programs that it starts");
  write_file(script, "#!/bin/sh\n# Once: exec /bin/true\nexec " + std::string(kPsql) + " \"$@\"\n", 0755);
  expect(script, 0, std::string("a wrapper of ") + kPsql);
  write_file(script,
             "#!/bin/sh\necho 'no: exec /bin/true'\ncat <<END; cat <<-'LAST' # $((1<<2))\nexec /bin/true \"\nEND\n"
             "exec /bin/true\n\tLAST\ncat <<<word; echo $((1<<3)) ${#A} \\\"\n[ -z \"$A\" ] || exec\t'" +
                 std::string(kPsql) + "' \"$@\"\n",
             0755);
  expect(script, 0, std::string("a wrapper of ") + kPsql);
  write_file(script, "#!/usr/bin/python3\n'''Start it by\nexec /bin/true\n'''\nprint(1)\n", 0755);
  expect(script, 0, "a script for /usr/bin/python3");
  expect(std::string(kBin) + "postgres", 0, "only a token spec");
  const std::string daemon = environment_.home() + "/dovecot";
  fs::copy_file(kPsql, daemon);
  expect(daemon, 0, "import_environment");
  expect(daemon, 0, "patchelf --add-needed " + fs::canonical(installed_ + "/lib/libpqmint.so").string() + " PROGRAM");
}

TEST_F(Doctor, KnowsWhoIsNotAndWhatToDoInstead) {
  expect("/bin/true", 1, "does not use libpq");
  expect(altered("go", std::string::npos, "\xff Go buildinf:"), 1, "written in Go");
  expect(altered("static", std::string::npos, "fe_sendauth: no password supplied\n"), 1, "statically");
  expect(altered("narrow", 4, "\x01"), 1, "32-bit");
  expect(altered("strange", 18, std::string("\x28\x00", 2)), 1, "ARM");
  const std::string short_file = environment_.home() + "/short";
  write_file(short_file, read_file("/bin/true").substr(0, 100), 0755);
  expect(short_file, 1, "cut off");
  const std::string jar = environment_.home() + "/app.jar";
  write_file(jar, "PK\x03\x04", 0644);
  expect(jar, 1, "Java archive");
  expect(environment_.home(), 1, "Is a directory");
  write_file(jar, "text", 0644);
  expect(jar, 1, "no program and no script");
}

TEST_F(Doctor, KnowsWhoGainsRights) {
  if (geteuid() != 0) GTEST_SKIP() << "only root can make a program of another user's";
  const std::string copy = environment_.home() + "/psql";
  fs::copy_file(kPsql, copy);
  ASSERT_EQ(chown(copy.c_str(), 65534, 65534), 0);
  ASSERT_EQ(chmod(copy.c_str(), 04755), 0);
  expect(copy, 1, "setuid");
}

TEST_F(Doctor, RefusesWhatItCannotAnswer) {
  EXPECT_EQ(pqmint({"doctor"}).status, 2);
  EXPECT_EQ(pqmint({"doctor", "a", "b"}).status, 2);
  EXPECT_EQ(pqmint({"doctor", "--fast"}).status, 2);
  const Outcome absent = pqmint({"doctor", "no-such-program"});
  EXPECT_EQ(absent.status, 1);
  EXPECT_EQ(absent.err, "pqmint: there is no program \"no-such-program\" in PATH\n");
  const std::string endless = environment_.home() + "/endless";
  write_file(endless, "#!" + endless + "\n", 0755);
  EXPECT_EQ(pqmint({"doctor", endless}).status, 1);
}

// Libraries that need each other, each found by a longer name for the same place.
TEST_F(Doctor, FindsItsWayOutOfARing) {
  const std::string ring = environment_.home() + "/ring", program = psql_with("rpath", "$ORIGIN/ring");
  fs::create_directory(ring);
  constexpr int kMembers = 6;
  const auto name = [](int member) { return "ring" + std::to_string(member) + ".so"; };
  const auto patch = [](std::vector<std::string> argv) {
    argv.insert(argv.begin(), "patchelf");
    ASSERT_EQ(run(argv, Environment()).status, 0);
  };
  for (int member = 0; member < kMembers; ++member) {
    const std::string path = ring + "/" + name(member);
    fs::copy_file(built("test/e2e/liblater_at_fork.so"), path);
    for (int other = 0; other < kMembers; ++other) patch({"--add-needed", name(other), path});
    patch({"--force-rpath", "--set-rpath", "$ORIGIN/../ring", path});
  }
  patch({"--add-needed", name(0), program});
  const Outcome outcome = run({"timeout", "10", installed_ + "/bin/pqmint", "doctor", program}, environment_);
  EXPECT_EQ(outcome.status, 0) << outcome.out << outcome.err;
}

// The loader is asked what it would do, and the walk through the files must say the same.
TEST_F(Doctor, FindsTheLibpqThatTheLoaderFinds) {
  for (const std::string program :
       {kPsql, "/usr/lib/postgresql/15/bin/pg_dump", "/usr/lib/postgresql/15/bin/pgbench"}) {
    const Outcome ldd = run({"ldd", program}, Environment());
    const size_t at = ldd.out.find("=> ", ldd.out.find(kLibpq)) + 3;
    const std::string path = fs::canonical(ldd.out.substr(at, ldd.out.find(' ', at) - at));
    expect(program, 0, "(" + path + ")");
  }
}

}  // namespace
}  // namespace pqmint::test
