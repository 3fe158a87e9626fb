// SPDX-License-Identifier: PostgreSQL
// `pqmint doctor`: one line that says whether a program would be reached and how, or why not and what to do instead.

#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>

#include "cli/commands.h"
#include "cli/loader.h"
#include "cli/program.h"

namespace {

using namespace pqmint;

std::string real_path(const char* path) {
  const Text real(realpath(path, nullptr));
  return real ? real.get() : path;
}

// libpqmint.so, above the folder that this program lies in.
std::string our_library() {
  const std::string self = real_path("/proc/self/exe");
  return self.substr(0, self.rfind('/', self.rfind('/') - 1)) + "/libpqmint.so";
}

struct Verdict {
  bool reached;
  std::string why;
};

constexpr const char* kTokenInstead =
    "put `pqmint token CONNINFO` in its password field (good for 15 minutes), or mint in it with libpqmint-api";

Verdict not_reached(std::string why) {
  return {false, std::move(why)};
}

// The loader ignores LD_PRELOAD and LD_LIBRARY_PATH for a program that gains rights by being started. Root gains none.
std::string gained_rights(const char* path) {
  struct stat file;
  if (stat(path, &file) != 0) return "";
  if ((file.st_mode & S_ISUID) && file.st_uid != getuid()) return "it is setuid";
  if ((file.st_mode & S_ISGID) && (file.st_mode & S_IXGRP) && file.st_gid != getgid()) return "it is setgid";
  if (getuid() != 0 && getxattr(path, "security.capability", nullptr, 0) > 0) return "it has file capabilities";
  return "";
}

std::string machine_of(const ElfFile& file) {
  const auto byte = [&](size_t i) { return i < file.size() ? static_cast<unsigned char>(file.bytes()[i]) : 0U; };
  const unsigned machine = byte(EI_DATA) == ELFDATA2MSB ? byte(18) << 8 | byte(19) : byte(19) << 8 | byte(18);
  const std::string bits = byte(EI_CLASS) == ELFCLASS32 ? "32-bit " : "64-bit ";
  switch (machine) {
    case EM_386:
      return bits + "x86";
    case EM_X86_64:
      return bits + "x86";
    case EM_ARM:
      return bits + "ARM";
    case EM_AARCH64:
      return bits + "ARM";
    case EM_RISCV:
      return bits + "RISC-V";
    case EM_PPC64:
      return bits + "POWER";
    case EM_S390:
      return bits + "S/390";
    default:
      return bits + "machine type " + std::to_string(machine);
  }
}

// Words of libpq's own that no other driver has, and that stripping leaves.
bool holds_libpq(const ElfFile& file) {
  return file.holds("fe_sendauth: no password supplied");
}

bool is_go(const ElfFile& file) {
  return file.holds("\xff Go buildinf:");
}

// Runtimes whose drivers speak the protocol themselves, or may.
struct Runtime {
  const char* name;
  bool may_use_libpq;
  const char* why;
};
constexpr Runtime kRuntimes[] = {
    {"bash", true, "as are the programs that it starts"},
    {"dash", true, "as are the programs that it starts"},
    {"busybox", true, "as are the programs that it starts"},
    {"java", false, "the JDBC driver speaks the protocol itself, without libpq"},
    {"dotnet", false, "Npgsql speaks the protocol itself, without libpq"},
    {"mono", false, "Npgsql speaks the protocol itself, without libpq"},
    {"beam.smp", false, "Erlang's drivers speak the protocol themselves, without libpq"},
    {"pgbouncer", false, "it speaks the protocol itself, without libpq"},
    {"node", true,
     "where it uses libpq: the packages libpq, pg-native and pg's `native`; pg alone speaks the protocol itself"},
    {"deno", false, "its drivers speak the protocol themselves, without libpq"},
    {"bun", false, "its drivers speak the protocol themselves, without libpq"},
};

bool is_daemon_that_cleans_its_environment(const char* path) {
  const std::string name = base_name(path);
  const std::string whole = path;
  return name == "postfix" || name == "dovecot" || whole.ends_with("/postfix/sbin/master");
}

// Whether anything in the tree but the C library itself opens libraries at run time.
bool opens_libraries(const LoadedTree& tree) {
  for (const LoadedTree::Object* object = tree.first(); object; object = object->next) {
    const std::string name = base_name(object->path.get());
    const bool is_basic = name.starts_with("libc.so") || name.starts_with("ld-linux") || name.starts_with("libdl.so") ||
                          name.starts_with("libcrypto.so") || name.starts_with("libselinux.so");
    if (!is_basic && (object->file.names_symbol("dlopen") || object->file.names_symbol("dlmopen"))) return true;
  }
  return false;
}

Verdict judge_linked(const LoadedTree::Object& libpq) {
  const std::string where = " (" + real_path(libpq.path.get()) + ")";
  const bool is_renamed = std::strcmp(base_name(libpq.path.get()), "libpq.so.5") != 0;
  if (is_renamed) return {true, "by the preload: it brings a libpq of its own" + where};
  if (libpq.found_by == FoundBy::kRpath || libpq.found_by == FoundBy::kName) {
    return {true, "by the preload: its RPATH leads to its libpq" + where};
  }
  return {true, "by the preload, and by the stand-in for what it may open later: it is linked with libpq" + where};
}

Verdict judge_native(const char* path, const ElfFile& file, const char* library_path) {
  if (is_go(file) && !file.names_symbol("PQconnectdbParams") && !file.names_symbol("PQconnectdb")) {
    return not_reached(std::string("it is written in Go, whose drivers speak the protocol themselves; ") +
                       kTokenInstead);
  }
  const std::string privilege = gained_rights(path);
  if (!privilege.empty()) {
    return not_reached(privilege + ", and the loader then ignores LD_PRELOAD; start it as its user and give it its " +
                       "capabilities from outside (User= and AmbientCapabilities= of a systemd unit), or " +
                       kTokenInstead);
  }
  const bool has_its_own = holds_libpq(file);
  if (!file.interpreter()) {
    return not_reached(std::string(has_its_own ? "libpq is linked into it statically; " : "it is linked statically; ") +
                       kTokenInstead);
  }
  if (std::strstr(file.interpreter(), "ld-musl")) {
    return not_reached("it runs on musl, and pqmint on glibc; build it for glibc, or " + std::string(kTokenInstead));
  }
  for (const Runtime& runtime : kRuntimes) {
    if (std::strcmp(base_name(real_path(path).c_str()), runtime.name) != 0) continue;
    if (runtime.may_use_libpq) return {true, runtime.why};
    return not_reached(std::string(runtime.why) + "; " + kTokenInstead);
  }
  const LoadedTree tree(path, library_path, LoadedTree::Extent::kWhole);
  if (const LoadedTree::Object* libpq = tree.libpq()) return judge_linked(*libpq);
  if (has_its_own) return not_reached(std::string("libpq is linked into it statically; ") + kTokenInstead);
  if (!opens_libraries(tree)) return not_reached("it does not use libpq, as far as its file tells");
  FoundBy by;
  const Text libpq = tree.libpq_for_dlopen(by);
  if (!libpq) {
    return {true,
            "by the preload, should it bring a libpq of its own: it opens libraries at run time, and the system "
            "has no libpq.so.5 (apt-get install libpq5)"};
  }
  return {true, "by the preload, or by the stand-in where it looks past that, should it load libpq (" +
                    real_path(libpq.get()) + "): it opens libraries at run time"};
}

Verdict judge(const char* path) {
  const ElfFile file(path);
  switch (file.kind()) {
    case ElfFile::Kind::kNative:
      return judge_native(path, file, std::getenv("LD_LIBRARY_PATH"));
    case ElfFile::Kind::kForeign:
      return not_reached("it is a program for a " + machine_of(file) +
                         " machine, and this pqmint is not; install one that was built for it");
    case ElfFile::Kind::kBroken:
      return not_reached("it is an ELF file that is cut off or damaged; install it anew");
    case ElfFile::Kind::kUnreadable:
      return not_reached(std::string("it cannot be read: ") + std::strerror(file.error()));
    default:
      break;
  }
  if (file.size() >= 2 && std::memcmp(file.bytes(), "PK", 2) == 0) {
    return not_reached(std::string("it is a Java archive, and the JDBC driver speaks the protocol itself; ") +
                       kTokenInstead);
  }
  return not_reached("it is no program and no script");
}

}  // namespace

int doctor_command(int argc, char** argv) {
  if (argc > 1 && std::strcmp(argv[1], "--") == 0) ++argv, --argc;
  if (argc != 2) return wrong_usage("doctor takes one PROGRAM");
  const char* word = argv[1];
  if (*word == '-') return wrong_usage("doctor has no option \"" + std::string(word) + "\"");
  Text path = find_program(word);
  // A jar is no program by its mode, and yet worth an answer.
  if (!path && std::strchr(word, '/') && access(word, F_OK) == 0) path = copy_text(word);
  if (!path)
    return complain("there is no program \"" + std::string(word) + "\"" + (std::strchr(word, '/') ? "" : " in PATH"));

  const Program program = behind(path.get());
  if (!program.binary) {
    return complain(std::string(path.get()) + " is a script whose interpreter cannot be found");
  }
  std::string chain = path.get();
  if (std::strcmp(path.get(), program.binary.get()) != 0) {
    chain += program.way == Program::Way::kWrapper ? " (a wrapper of " : " (a script for ";
    chain += std::string(program.binary.get()) + ")";
  }
  Verdict verdict = judge(program.binary.get());
  if (verdict.reached && is_daemon_that_cleans_its_environment(program.binary.get())) {
    verdict.why +=
        "; name LD_PRELOAD, LD_LIBRARY_PATH and the AWS_*, AZURE_* and PG* variables in its import_environment, or "
        "have "
        "its program that connects load the library by itself: patchelf --add-needed " +
        our_library() + " PROGRAM";
  }
  if (verdict.reached && std::strcmp(base_name(program.binary.get()), "postgres") == 0) {
    verdict.why += "; inside a server only a token spec in the user mapping or conninfo is answered";
  }
  std::printf("%s: %s %s\n", chain.c_str(), verdict.reached ? "reached," : "not reached:", verdict.why.c_str());
  return verdict.reached ? 0 : 1;
}
