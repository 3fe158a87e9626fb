// SPDX-License-Identifier: PostgreSQL
// The order in which a Microsoft Entra token is asked for. Facts: spec/azure.md 1.1, 2 and 3; what is noted here is
// why.

#include "core/entra_chain.h"

#include <algorithm>
#include <array>
#include <optional>

#include "base/shown.h"
#include "base/text.h"
#include "core/aws_profile.h"

namespace pqmint {
namespace {

constexpr size_t kShownValue = 60;

// ---------------------------------------------------------------------------------------------------------- the cloud

struct Cloud {
  std::string_view zone;       // how its hosts' names end
  std::string_view resource;   // Azure Database for PostgreSQL's
  std::string_view authority;  // host name
};
constexpr Cloud kPublic = {".azure.com", "https://ossrdbms-aad.database.windows.net", "login.microsoftonline.com"};
constexpr Cloud kClouds[] = {
    kPublic,
    {".usgovcloudapi.net", "https://ossrdbms-aad.database.usgovcloudapi.net", "login.microsoftonline.us"},
    {".cosmos.azure.us", "https://ossrdbms-aad.database.usgovcloudapi.net", "login.microsoftonline.us"},
    {".chinacloudapi.cn", "https://ossrdbms-aad.database.chinacloudapi.cn", "login.partner.microsoftonline.cn"},
};
constexpr std::string_view kCosmosResource = "https://token.postgres.cosmos.azure.com";

// Other names of the same clouds, and the younger sovereign ones, whose resource is not known.
constexpr std::string_view kOtherAuthorities[] = {
    "login.windows.net",          "login.microsoft.com",          "sts.windows.net",
    "login.usgovcloudapi.net",    "login-us.microsoftonline.com", "login.chinacloudapi.cn",
    "login.sovcloud-identity.fr", "login.sovcloud-identity.de",   "login.sovcloud-identity.sg",
};

bool is_known_authority(std::string_view host) {
  return std::ranges::find(kClouds, host, &Cloud::authority) != std::end(kClouds) ||
         std::ranges::find(kOtherAuthorities, host) != std::end(kOtherAuthorities);
}

/// The authority's URL without a slash at the end. The client's secret is sent there.
Result<std::string> authority_for(const Cloud& cloud) {
  std::string_view url = variable("AZURE_AUTHORITY_HOST");
  if (url.empty()) return "https://" + std::string(cloud.authority);
  while (url.ends_with('/')) url.remove_suffix(1);
  constexpr std::string_view kHttps = "https://";
  if (!url.starts_with(kHttps)) {
    return Error{"AZURE_AUTHORITY_HOST is \"" + shown_url(url, kShownValue) + "\"" +
                 ", and must use the 'https' protocol; write https://login.microsoftonline.com, or unset it"};
  }
  const std::string_view host = url.substr(kHttps.size());
  // MSAL's own rewriting of a name that has no server any more.
  if (host == "login.chinacloudapi.cn") return std::string("https://login.partner.microsoftonline.cn");
  const bool is_plain = !host.empty() && host.find_first_of("/?#@ ") == host.npos;
  if (is_plain && (is_known_authority(host) || host == variable("PQMINT_UNSAFE_AUTHORITY"))) return std::string(url);
  return Error{"AZURE_AUTHORITY_HOST names \"" + shown_url(host, kShownValue) + "\"" +
               ", which is none of Microsoft's authorities, and secrets are not sent there; correct or unset it (for a "
               "test or a private cloud, set PQMINT_UNSAFE_AUTHORITY to exactly that host)"};
}

const Cloud& cloud_of(std::string_view host) {
  for (const Cloud& cloud : kClouds) {
    if (host.ends_with(cloud.zone)) return cloud;
  }
  // A name that says nothing: the authority may.
  const std::string_view authority = variable("AZURE_AUTHORITY_HOST");
  for (const Cloud& cloud : kClouds) {
    if (authority.find(cloud.authority) != authority.npos) return cloud;
  }
  return kPublic;
}

Result<std::string> scope_for(const EntraWish& wish, std::string_view host, HostKind kind, const Cloud& cloud) {
  constexpr std::string_view kDefault = "/.default";
  if (!wish.scope.empty()) return wish.scope;
  if (kind != HostKind::kCosmos) return std::string(cloud.resource).append(kDefault);
  if (host.ends_with(".azure.com")) return std::string(kCosmosResource).append(kDefault);
  return Error{"it is not known for which resource Cosmos DB for PostgreSQL takes tokens in the cloud of " +
               quoted(host) + "; say so with scope= in the token spec"};
}

// ---------------------------------------------------------------------------------------------------------- the chain

/// Sources as AZURE_TOKEN_CREDENTIALS and the SDKs call them.
enum class Member { kEnvironment, kWorkloadIdentity, kManagedIdentity, kAzureCli, kPowerShell, kDeveloperCli };
struct MemberName {
  Member member;
  std::string_view name;  // in lower case
};
constexpr MemberName kMembers[] = {
    {Member::kEnvironment, "environmentcredential"},         {Member::kWorkloadIdentity, "workloadidentitycredential"},
    {Member::kManagedIdentity, "managedidentitycredential"}, {Member::kAzureCli, "azureclicredential"},
    {Member::kPowerShell, "azurepowershellcredential"},      {Member::kDeveloperCli, "azuredeveloperclicredential"},
};

/// The members that AZURE_TOKEN_CREDENTIALS leaves in the chain.
Result<std::vector<Member>> chosen_members() {
  const std::string asked = lower(variable("AZURE_TOKEN_CREDENTIALS"));
  std::vector<Member> members;
  for (const auto& [member, name] : kMembers) {
    const bool is_dev = member >= Member::kAzureCli;
    if (asked.empty() || asked == name || (asked == "dev" && is_dev) || (asked == "prod" && !is_dev)) {
      members.push_back(member);
    }
  }
  if (!members.empty()) return members;
  if (asked == "visualstudiocodecredential" || asked == "visualstudiocredential" ||
      asked == "interactivebrowsercredential" || asked == "broker") {
    return Error{"AZURE_TOKEN_CREDENTIALS asks for " + quoted(variable("AZURE_TOKEN_CREDENTIALS")) +
                 ", which needs a desktop program that pqmint cannot use; run az login, and set it to "
                 "AzureCliCredential"};
  }
  return Error{"AZURE_TOKEN_CREDENTIALS is " + quoted(variable("AZURE_TOKEN_CREDENTIALS")) +
               "; valid values are dev, prod, EnvironmentCredential, WorkloadIdentityCredential, "
               "ManagedIdentityCredential, AzureCliCredential, AzurePowerShellCredential and "
               "AzureDeveloperCliCredential"};
}

bool is_tenant(std::string_view text) {
  return is_made_of(text, "-.");
}

Error not_a_tenant(std::string_view tenant) {
  return Error{"the tenant " + quoted(tenant) +
               " is neither a GUID nor a domain; correct tenant_id= in the token spec, or AZURE_TENANT_ID"};
}

/// Debian's libcurl has its own idea of where the roots are, and asks OpenSSL's variable no more.
std::string_view roots_of_the_user() {
  const std::string_view roots = variable("SSL_CERT_FILE");
  return roots.empty() ? variable("CURL_CA_BUNDLE") : roots;
}

/// A configured source gives a plan, one that is not set up gives nothing and leaves a line in the trail.
using Answer = std::optional<Result<CredentialPlan>>;

class Chain {
 public:
  Chain(const EntraWish& wish, std::string scope, std::string authority, Trail& trail)
      : wish_(wish),
        scope_(std::move(scope)),
        authority_(std::move(authority)),
        client_id_(wish.client_id.empty() ? variable("AZURE_CLIENT_ID") : wish.client_id),
        tenant_id_(wish.tenant_id.empty() ? variable("AZURE_TENANT_ID") : wish.tenant_id),
        trail_(trail) {}

  Result<std::vector<CredentialPlan>> plans(const std::vector<Member>& members) {
    if (!is_tenant(tenant_id_)) return not_a_tenant(tenant_id_);
    std::vector<CredentialPlan> out;
    for (const Member member : members) {
      auto found = plan(member, members.size() == 1);
      if (!found) continue;
      if (!*found) return found->error();
      out.push_back(std::move(**found));
      // These never are absent: what would come after them is not asked.
      if (member == Member::kEnvironment || member == Member::kWorkloadIdentity) break;
    }
    return out;
  }

 private:
  Answer plan(Member member, bool is_alone) {
    switch (member) {
      case Member::kEnvironment:
        return from_environment();
      case Member::kWorkloadIdentity:
        return from_workload_identity();
      case Member::kManagedIdentity:
        return from_managed_identity(is_alone);
      case Member::kAzureCli:
        return from_tool("azure-cli");
      case Member::kPowerShell:
        return from_tool("azure-powershell");
      case Member::kDeveloperCli:
        return from_tool("azure-developer-cli");
    }
    return std::nullopt;
  }

  Answer skip(const char* source, std::string why) {
    trail_.emplace_back(source, std::move(why));
    return std::nullopt;
  }

  CredentialPlan start(const char* source) const {
    CredentialPlan plan;
    plan.source = source;
    plan.set("scope", scope_);
    plan.set("tenant_id", tenant_id_);
    plan.set("client_id", client_id_);
    plan.set("authority", authority_);
    plan.set("ca_bundle", roots_of_the_user());
    return plan;
  }

  Answer from_environment() {
    constexpr const char* kSource = "environment";
    std::string missing;
    if (tenant_id_.empty()) missing = "AZURE_TENANT_ID";
    if (client_id_.empty()) missing.append(missing.empty() ? "" : " and ").append("AZURE_CLIENT_ID");
    if (!missing.empty()) return skip(kSource, missing + (missing.size() > 15 ? " are not set" : " is not set"));
    // A secret is one application's: another client_id in the token spec means another identity.
    const std::string_view own = variable("AZURE_CLIENT_ID");
    if (!wish_.client_id.empty() && !own.empty() && own != wish_.client_id) {
      return skip(kSource, "its AZURE_CLIENT_ID is not the client_id= of the token spec");
    }
    // A secret is used as it is, blanks included.
    if (const char* secret = getenv("AZURE_CLIENT_SECRET"); secret != nullptr && *secret != '\0') {
      CredentialPlan plan = start("client-secret");
      plan.set("client_secret", secret);
      return plan;
    }
    if (const std::string_view path = variable("AZURE_CLIENT_CERTIFICATE_PATH"); !path.empty()) {
      CredentialPlan plan = start("client-certificate");
      plan.set("certificate_path", path);
      const char* password = getenv("AZURE_CLIENT_CERTIFICATE_PASSWORD");
      plan.set("certificate_password", password != nullptr ? password : "");
      const std::string_view chain = variable("AZURE_CLIENT_SEND_CERTIFICATE_CHAIN");
      plan.set("send_certificate_chain", chain == "1" || lower(chain) == "true" ? "true" : "");
      return plan;
    }
    if (!variable("AZURE_USERNAME").empty() && !variable("AZURE_PASSWORD").empty()) {
      return Error{
          "AZURE_USERNAME and AZURE_PASSWORD are set, and pqmint does not log people in by password, which fails with "
          "multi-factor authentication; use AZURE_CLIENT_SECRET, or unset AZURE_PASSWORD and run az login"};
    }
    return skip(kSource, "neither AZURE_CLIENT_SECRET nor AZURE_CLIENT_CERTIFICATE_PATH is set");
  }

  Answer from_workload_identity() {
    constexpr const char* kSource = "workload-identity";
    const std::string_view file = variable("AZURE_FEDERATED_TOKEN_FILE");
    if (file.empty()) return skip(kSource, "AZURE_FEDERATED_TOKEN_FILE is not set");
    if (client_id_.empty()) return skip(kSource, "AZURE_CLIENT_ID is not set");
    if (tenant_id_.empty()) return skip(kSource, "AZURE_TENANT_ID is not set");
    CredentialPlan plan = start(kSource);
    plan.set("federated_token_file", file);
    plan.set("kubernetes_token_proxy", variable("AZURE_KUBERNETES_TOKEN_PROXY"));
    plan.set("kubernetes_sni_name", variable("AZURE_KUBERNETES_SNI_NAME"));
    plan.set("kubernetes_ca_file", variable("AZURE_KUBERNETES_CA_FILE"));
    plan.set("kubernetes_ca_data", variable("AZURE_KUBERNETES_CA_DATA"));
    return plan;
  }

  /// `is_alone`: nothing else was asked for, so there is no probe, and a slow metadata service is waited for.
  CredentialPlan from_managed_identity(bool is_alone) const {
    CredentialPlan plan = start("managed-identity");
    constexpr std::pair<const char*, const char*> kVariables[] = {
        {"identity_endpoint", "IDENTITY_ENDPOINT"},
        {"identity_header", "IDENTITY_HEADER"},
        {"identity_server_thumbprint", "IDENTITY_SERVER_THUMBPRINT"},
        {"imds_endpoint", "IMDS_ENDPOINT"},
        {"msi_endpoint", "MSI_ENDPOINT"},
        {"msi_secret", "MSI_SECRET"},
        {"default_identity_client_id", "DEFAULT_IDENTITY_CLIENT_ID"},
        {"pod_identity_authority_host", "AZURE_POD_IDENTITY_AUTHORITY_HOST"},
    };
    for (const auto& [setting, name] : kVariables) plan.set(setting, variable(name));
    plan.set("probe", is_alone ? "" : "true");
    return plan;
  }

  CredentialPlan from_tool(const char* source) const {
    CredentialPlan plan;
    plan.source = source;
    plan.set("scope", scope_);
    // The tool's own login knows its tenant; only a token spec may ask for another.
    plan.set("tenant_id", wish_.tenant_id);
    return plan;
  }

  const EntraWish& wish_;
  const std::string scope_;
  const std::string authority_;
  const std::string client_id_;
  const std::string tenant_id_;
  Trail& trail_;
};

}  // namespace

Result<std::vector<CredentialPlan>> plan_entra(const EntraWish& wish, std::string_view host, HostKind kind,
                                               Trail& trail) {
  const Cloud& cloud = cloud_of(host);
  auto scope = scope_for(wish, host, kind, cloud);
  if (!scope) return scope.error();
  auto authority = authority_for(cloud);
  if (!authority) return authority.error();
  const auto members = chosen_members();
  if (!members) return members.error();
  return Chain(wish, std::move(*scope), std::move(*authority), trail).plans(*members);
}

Result<CredentialPlan> plan_device_code(const EntraWish& wish, std::string_view host, HostKind kind) {
  constexpr std::string_view kAzureCliClient = "04b07795-8ddb-461a-bbee-02f9e1bf7b46";
  const Cloud& cloud = cloud_of(host);
  auto scope = scope_for(wish, host, kind, cloud);
  if (!scope) return scope.error();
  auto authority = authority_for(cloud);
  if (!authority) return authority.error();
  const std::string_view tenant =
      wish.tenant_id.empty() ? variable("AZURE_TENANT_ID") : std::string_view(wish.tenant_id);
  if (!is_tenant(tenant)) return not_a_tenant(tenant);
  CredentialPlan plan;
  plan.source = "device-code";
  plan.set("scope", *scope);
  plan.set("authority", *authority);
  plan.set("tenant_id", tenant.empty() ? "organizations" : tenant);
  plan.set("client_id", wish.client_id.empty() ? kAzureCliClient : std::string_view(wish.client_id));
  plan.set("ca_bundle", roots_of_the_user());
  return plan;
}

Error no_entra_token(const Trail& trail) {
  std::string text = "no Microsoft Entra token: ";
  for (const auto& [source, why] : trail) {
    if (&source != &trail.front().first) text += "; ";
    text += source + ": " + why;
  }
  return Error{text + ". Run az login, or set AZURE_CLIENT_ID, AZURE_TENANT_ID and AZURE_CLIENT_SECRET"};
}

}  // namespace pqmint
