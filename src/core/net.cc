// SPDX-License-Identifier: PostgreSQL
// The door to net.so: a plan comes in, what the module fetched for it goes out.

#include "core/net.h"

#include <limits.h>

#include <atomic>
#include <memory>
#include <string>
#include <vector>

#include "base/log.h"
#include "base/module.h"
#include "core/clock.h"
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
  if (net == nullptr) {
    // The loader names a library; people install packages.
    const bool lacks_library = std::string_view(fault.text).find("cannot open shared object file") != std::string::npos;
    return Error{std::string(fault.text) +
                 (lacks_library ? " with what it needs: libcurl, jsoncpp and OpenSSL (on Debian: apt install libcurl4 "
                                  "libjsoncpp25 libssl3)"
                                : "")};
  }
  kept.store(net, std::memory_order_release);
  return net;
}

pqmint_keys borrowed(const Credentials& keys) {
  return {keys.access_key_id.c_str(), keys.secret_access_key.c_str(),
          keys.session_token.empty() ? nullptr : keys.session_token.c_str()};
}

std::string_view view(const char* text) {
  return text != nullptr ? text : "";
}

}  // namespace

Result<FetchedCredentials> fetch_credentials(const CredentialPlan& plan, const Credentials* signer,
                                             const Deadline& deadline) {
  const auto net = load_net();
  if (!net) return Error{"cannot fetch credentials by " + plan.source + ": " + net.error().text};

  std::vector<pqmint_setting> settings;
  for (const auto& [name, value] : plan.settings) settings.push_back({name.c_str(), value.c_str()});
  if (!is_skew_corrected()) settings.push_back({"skew_is_not_corrected", "true"});
  const pqmint_keys signing = signer != nullptr ? borrowed(*signer) : pqmint_keys{};
  pqmint_fetch what = {};
  what.source = plan.source.c_str();
  what.settings = settings.data();
  what.setting_count = settings.size();
  what.signer = signer != nullptr ? &signing : nullptr;
  what.timeout_ms = deadline.left().count();
  what.skew = known_skew().value_or(0);

  what.connection = LogScope::connection();

  LogLine line(LogLevel::kInfo, "fetch");
  line.with("source", plan.source.c_str()).with("name", plan.name.c_str());
  const auto release = [&](const pqmint_fetched* fetched) { (*net)->release(fetched); };
  const std::unique_ptr<const pqmint_fetched, decltype(release)> fetched((*net)->fetch(&what), release);
  if (!fetched) return Error{"cannot fetch credentials by " + plan.source + ": memory is out"};
  line.took()
      .with("result", fetched->absent  ? "absent"
                      : fetched->error ? "failed"
                                       : "fetched")
      .with("text", fetched->error);
  if (fetched->skew_known) learn_skew(fetched->skew);
  if (fetched->error != nullptr && !fetched->absent) return Error{fetched->error};
  FetchedCredentials out;
  out.is_absent = fetched->absent;
  out.text = view(fetched->text);
  out.keys.access_key_id = view(fetched->keys.access_key_id);
  out.keys.secret_access_key = Secret(view(fetched->keys.secret_access_key));
  out.keys.session_token = Secret(view(fetched->keys.session_token));
  out.keys.expires = fetched->expires;
  out.token = Secret(view(fetched->token));
  out.expires = fetched->expires;
  out.refresh_at = fetched->refresh_at;
  out.identity = view(fetched->identity);
  return out;
}

}  // namespace pqmint
