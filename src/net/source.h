// SPDX-License-Identifier: PostgreSQL
// Where credentials are fetched: what core knows of a source comes in, keys go out. One file for each source, in aws/
// and entra/; command.cc is the user's own.
//
// A source looks at its settings, the network, and the files that they name; never at the environment (what counts
// there is core's to decide) but for the proxies that libcurl finds by itself. It keeps nothing between two calls.
#pragma once

#include <time.h>

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "base/instant.h"
#include "base/result.h"
#include "base/secret.h"
#include "pqmint/abi.h"

namespace pqmint {

/// What core found out, by name. A name that is not there has the value "". Borrows the caller's strings.
class Settings {
 public:
  Settings() = default;
  explicit Settings(std::span<const pqmint_setting> all) : all_(all) {}
  std::string_view operator[](std::string_view name) const {
    for (const pqmint_setting& setting : all_) {
      if (name == setting.name) return setting.value;
    }
    return {};
  }
  bool is(std::string_view name) const { return (*this)[name] == "true"; }

 private:
  std::span<const pqmint_setting> all_;
};

/// The servers' time, as far as known: this machine's, corrected by the Date of their answers (spec/aws.md 4.13).
struct Clock {
  int64_t skew = 0;  // seconds that the servers are ahead of this machine
  bool learned = false;
  bool is_corrected = true;  // false: the user wants this machine's time, whatever the servers say

  int64_t now() const { return time(nullptr) + (is_corrected ? skew : 0); }  // seconds since the epoch
  void learn(int64_t seconds) {
    skew = seconds;
    learned = true;
  }
};

/// The longest password that a PostgreSQL server takes, and so the longest token: its message may have 65,535 bytes
/// (PG_MAX_AUTH_TOKEN_LENGTH), four of which are its length and one the end of the text. libpq itself has no limit.
inline constexpr size_t kMostPassword = 65'530;

/// What a source is asked. Everything is borrowed for the time of the call.
struct Query {
  Settings settings;
  const pqmint_keys* signer = nullptr;  // assume-role only
  Deadline deadline;
  Clock& clock;
};

/// What a source found: AWS keys, a token, or that it is not there at all.
struct Fetched {
  std::string access_key_id;
  Secret secret_access_key;
  Secret session_token;    // empty: none
  Secret token;            // Entra's sources: the access token; command: what was printed
  int64_t expires = 0;     // seconds since the epoch, 0: never
  int64_t refresh_at = 0;  // Entra's sources: when to ask for the next one; 0: nobody said
  std::string text;        // imds-region: the region; Entra's: the user name that the token's claims lead to, or empty
  std::string identity;    // Entra's: "oid=..., appid=...", as far as the token says it
  bool is_absent = false;  // the source is not there, or not set up; `text` says how that was seen

  static Fetched absent(std::string why) {
    Fetched none;
    none.is_absent = true;
    none.text = std::move(why);
    return none;
  }
};

// The sources, each with the settings that it looks at. "region" is the region of the service that is called; those
// marked * also look at the settings of net/aws/endpoint.h and net/http.h ("Settings").
//
// An error is one sentence: what was tried, why it failed, what to do. It quotes no answer but the service's own error
// code and message, and holds no secret. `profile` is there for such sentences; it is empty if the environment asked.

/// STS AssumeRole, signed with query.signer. * region, role_arn, role_session_name, external_id, duration_seconds,
/// profile.
Result<Fetched> fetch_assume_role(const Query& query);

/// STS AssumeRoleWithWebIdentity; the token file is read at each call. * region, role_arn, role_session_name,
/// web_identity_token_file, profile.
Result<Fetched> fetch_web_identity(const Query& query);

/// IAM Identity Center's GetRoleCredentials, after a refresh of the cached token if it is due. * region (that is
/// sso_region), sso_account_id, sso_role_name, sso_session (empty: legacy), sso_start_url, cache_directory
/// (~/.aws/sso/cache), profile.
Result<Fetched> fetch_sso(const Query& query);

/// The keys of an `aws login` session, refreshed if that is due. * region, login_session, cache_directory
/// (~/.aws/login/cache), profile.
Result<Fetched> fetch_login(const Query& query);

/// credential_process. command, profile.
Result<Fetched> fetch_process(const Query& query);

/// ECS, EKS Pod Identity and their like. relative_uri, full_uri (which counts without the former), authorization_token,
/// authorization_token_file (which wins).
Result<Fetched> fetch_container(const Query& query);

/// EC2's instance metadata: the keys of the instance's role. endpoint (empty: by mode), endpoint_mode ("ipv4", "ipv6"),
/// v1_allowed ("true"), timeout (seconds for an attempt), attempts.
Result<Fetched> fetch_imds(const Query& query);

/// The region that the instance runs in. Settings as for fetch_imds.
Result<Fetched> fetch_imds_region(const Query& query);

// --- Microsoft Entra. All look at: scope ("https://ossrdbms-aad.database.windows.net/.default"), tenant_id and
// client_id (empty: not said). Those that call Entra also at: authority ("https://login.microsoftonline.com", without a
// slash at the end), ca_bundle. They fill token, expires, refresh_at, text and identity (see net/entra/entra.h). A
// developer tool that is not installed, not logged in or fails is absent, with the reason, and the chain goes on; so is
// a metadata service that is not there. Everything else that fails is an error: it carries the AADSTS code, the
// correlation id and the remedy.

/// client_secret.
Result<Fetched> fetch_client_secret(const Query& query);

/// certificate_path (PEM or PFX), certificate_password, send_certificate_chain ("true").
Result<Fetched> fetch_client_certificate(const Query& query);

/// federated_token_file, read at each call; kubernetes_token_proxy, kubernetes_sni_name, kubernetes_ca_file,
/// kubernetes_ca_data (AKS identity bindings).
Result<Fetched> fetch_workload_identity(const Query& query);

/// identity_endpoint, identity_header, identity_server_thumbprint, imds_endpoint, msi_endpoint, msi_secret,
/// default_identity_client_id, pod_identity_authority_host: the variables of these names. "probe" ("true": first see
/// whether a metadata service is there at all). Unit tests only: arc_agent, arc_key_directory (else
/// /opt/azcmagent/bin/himds and /var/opt/azcmagent/tokens/), imds_host (else http://169.254.169.254).
Result<Fetched> fetch_managed_identity(const Query& query);

/// A login by device code; the only source that shows anything to anybody. Unit tests only: terminal (else /dev/tty).
Result<Fetched> fetch_device_code(const Query& query);

/// The tools of a developer's machine, run without a shell: az, azd, pwsh.
Result<Fetched> fetch_azure_cli(const Query& query);
Result<Fetched> fetch_azure_developer_cli(const Query& query);
Result<Fetched> fetch_azure_powershell(const Query& query);

// --- The user's own

/// A program that prints a token, run without a shell. command; host, port, user, database (which it finds in
/// PQMINT_HOST and so on, in the environment); timeout (seconds, beside the query's deadline), lifetime (seconds from
/// now that the token may be kept for; it becomes `expires`). Fills token and expires, and is never absent.
Result<Fetched> fetch_command(const Query& query);

}  // namespace pqmint
