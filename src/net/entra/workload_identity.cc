// SPDX-License-Identifier: PostgreSQL
// A workload of Kubernetes: the token file of its service account comes in, a token of Microsoft Entra goes out
// (spec/azure.md 2.9).

#include "base/shown.h"
#include "net/entra/entra.h"
#include "net/token_file.h"
#include "net/url.h"

namespace pqmint {
namespace {

constexpr size_t kMaxToken = 64 * 1024;
constexpr size_t kMaxAuthorities = 1 << 20;

/// AKS identity bindings: the request goes through a proxy of the cluster, which has an authority of its own.
struct Binding {
  std::string url;  // https://SNI-NAME + the proxy's path
  std::string dial;
  std::string authorities;
};

Result<std::optional<Binding>> binding_of(const Settings& settings) {
  const std::string proxy(settings["kubernetes_token_proxy"]);
  const std::string_view sni = settings["kubernetes_sni_name"];
  const std::string_view file = settings["kubernetes_ca_file"];
  const std::string_view data = settings["kubernetes_ca_data"];
  if (proxy.empty()) {
    if (sni.empty() && file.empty() && data.empty()) return std::optional<Binding>();
    return Error{
        "AZURE_KUBERNETES_SNI_NAME, _CA_FILE or _CA_DATA is set without AZURE_KUBERNETES_TOKEN_PROXY; set it, or "
        "unset them"};
  }
  if (!file.empty() && !data.empty()) {
    return Error{"both AZURE_KUBERNETES_CA_FILE and AZURE_KUBERNETES_CA_DATA are set; unset one of them"};
  }
  const auto parts = parse_url(proxy);
  if (!parts || parts->scheme != "https" || proxy.find_first_of("?#") != proxy.npos) {
    return Error{"AZURE_KUBERNETES_TOKEN_PROXY must be an https URL without user, query or fragment; correct it"};
  }
  Binding binding;
  std::string path = parts->path;
  while (path.ends_with('/')) path.pop_back();
  binding.url = "https://" + (sni.empty() ? parts->authority : std::string(sni)) + path;
  if (const auto made = parse_url(binding.url); !made || (!sni.empty() && made->host != sni)) {
    return Error{"AZURE_KUBERNETES_SNI_NAME is " + quoted(sni, 80) + ", and must be a host name; correct it"};
  }
  if (!sni.empty()) {
    const bool v6 = parts->host.find(':') != parts->host.npos;
    binding.dial = (v6 ? "[" + parts->host + "]" : parts->host) + ":" + parts->port;
  }
  binding.authorities = data;
  if (!file.empty()) {
    const auto bytes = read_small_file(std::string(file), kMaxAuthorities);
    if (!bytes) return Error{bytes.error().text + "; check AZURE_KUBERNETES_CA_FILE"};
    binding.authorities = bytes->reveal();
    if (binding.authorities.empty()) return Error{"AZURE_KUBERNETES_CA_FILE is empty; is it just being renewed?"};
  }
  return std::optional<Binding>(std::move(binding));
}

/// The host of the URL is the name that TLS asks for and verifies; the rest of the road is the proxy's.
void send_through(const Binding& binding, HttpRequest& request) {
  const auto parts = parse_url(request.url);
  request.url = binding.url + (parts ? parts->path : "");
  request.dial = binding.dial;
  request.ca_pem = binding.authorities;
  request.may_use_proxy = false;
}

}  // namespace

Result<Fetched> fetch_workload_identity(const Query& query) {
  const auto binding = binding_of(query.settings);
  if (!binding) return Error{"workload identity: " + binding.error().text};
  const auto token = read_token_file(std::string(query.settings["federated_token_file"]), kMaxToken);
  if (!token) {
    return Error{"workload identity: " + token.error().text +
                 "; check AZURE_FEDERATED_TOKEN_FILE, and that the pod's runAsUser or fsGroup may read it"};
  }
  std::vector<std::pair<std::string, Secret>> proof;
  proof.emplace_back("client_assertion", token->clone());
  proof.emplace_back("client_assertion_type", Secret("urn:ietf:params:oauth:client-assertion-type:jwt-bearer"));
  if (!*binding) return request_token(query, std::move(proof));
  return request_token(query, std::move(proof), [&](HttpRequest& request) { send_through(**binding, request); });
}

}  // namespace pqmint
