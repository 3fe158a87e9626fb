// SPDX-License-Identifier: PostgreSQL
// Preloaded by the tests: every name has the addresses of $PQMINT_TEST_ADDRESSES, parted by commas; none, if that says
// "none". What is an address already stays what it is. Nothing asks DNS.
#include <dlfcn.h>
#include <netdb.h>

#include <cstdlib>
#include <cstring>
#include <sstream>
#include <string>

using GetAddrInfo = int (*)(const char*, const char*, const addrinfo*, addrinfo**);

extern "C" __attribute__((visibility("default"))) int getaddrinfo(const char* name, const char* service,
                                                                  const addrinfo* wanted, addrinfo** found) {
  static const auto real = reinterpret_cast<GetAddrInfo>(dlsym(RTLD_NEXT, "getaddrinfo"));
  addrinfo hints = {};
  if (wanted) hints = *wanted;
  hints.ai_flags |= AI_NUMERICHOST;
  if (const int failure = real(name, service, &hints, found); failure != EAI_NONAME) return failure;
  const char* addresses = getenv("PQMINT_TEST_ADDRESSES");
  addrinfo** end = found;
  *end = nullptr;
  std::istringstream list(addresses ? addresses : "none");
  for (std::string address; std::getline(list, address, ',');) {
    if (real(address.c_str(), service, &hints, end) != 0) return EAI_NONAME;
    while (*end) end = &(*end)->ai_next;
  }
  return 0;
}
