// SPDX-License-Identifier: PostgreSQL
// The door to net.so: a credential source's name comes in, what the module fetched goes out.

#include "core/net.h"

#include <limits.h>

#include <atomic>
#include <string>

#include "base/module.h"
#include "pqmint/abi.h"

namespace pqmint {
namespace {

Result<const pqmint_net_module*> load_net() {
  constinit static std::atomic<const pqmint_net_module*> kept = nullptr;
  if (const pqmint_net_module* net = kept.load(std::memory_order_acquire)) return net;

  char path[PATH_MAX];
  if (!path_beside(reinterpret_cast<const void*>(&fetch_credentials), "net.so", path, sizeof path)) {
    return Error{"cannot tell where pqmint's net.so lies; reinstall pqmint"};
  }
  ModuleFault fault;
  const auto* net = open_module<pqmint_net_module>(path, "pqmint_net", fault);
  if (net == nullptr) return Error{fault.text};
  kept.store(net, std::memory_order_release);
  return net;
}

}  // namespace

Result<Credentials> fetch_credentials(std::string_view source, std::string_view profile) {
  const std::string source_text(source);
  const std::string profile_text(profile);
  const auto net = load_net();
  if (!net) return Error{"cannot fetch credentials by " + source_text + ": " + net.error().text};

  const pqmint_fetch what = {source_text.c_str(), profile.empty() ? nullptr : profile_text.c_str()};
  const pqmint_fetched* fetched = (*net)->fetch(&what);
  Error error{"cannot fetch credentials by " + source_text + ": net.so gave no answer; memory may be short"};
  if (fetched != nullptr) {
    // This version of the table can only say why not.
    if (fetched->error != nullptr) error.text = fetched->error;
    (*net)->release(fetched);
  }
  return error;
}

}  // namespace pqmint
