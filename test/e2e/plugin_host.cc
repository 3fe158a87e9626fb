// SPDX-License-Identifier: PostgreSQL
// plugin_host PLUGIN CONNINFO: loads a plugin so that it finds its own libraries first, whatever is preloaded.
#include <dlfcn.h>

#include <cstdio>

int main(int argc, char** argv) {
  if (argc != 3) return 2;
  void* plugin = dlopen(argv[1], RTLD_NOW | RTLD_LOCAL | RTLD_DEEPBIND);
  if (!plugin) return std::fprintf(stderr, "%s\n", dlerror()), 1;
  const auto log_in = reinterpret_cast<int (*)(const char*)>(dlsym(plugin, "log_in"));
  return log_in ? log_in(argv[2]) : 1;
}
