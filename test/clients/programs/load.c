// SPDX-License-Identifier: PostgreSQL
// load LIBRARY CONNINFO: calls who() of a library that brings its own libpq.
#include <dlfcn.h>
#include <stdio.h>

int main(int argc, char** argv) {
  void* library = argc > 2 ? dlopen(argv[1], RTLD_NOW | RTLD_LOCAL) : NULL;
  int (*who)(int, char**) = library ? (int (*)(int, char**))dlsym(library, "who") : NULL;
  if (!who) {
    fprintf(stderr, "%s\n", dlerror());
    return 1;
  }
  return who(argc - 1, argv + 1);
}
