// SPDX-License-Identifier: PostgreSQL
// Spec, endpoint, region, credentials, token: the steps from one host to its password, in order.

#include "core/grant.h"

#include <arpa/inet.h>
#include <netdb.h>
#include <sys/socket.h>

#include <algorithm>
#include <memory>
#include <optional>

#include "base/result.h"
#include "base/shown.h"
#include "base/text.h"
#include "core/aws_profile.h"
#include "core/clock.h"
#include "core/net.h"
#include "core/policy.h"
#include "core/spec.h"
#include "core/token.h"

namespace pqmint {
namespace {

using Provider = TokenSpec::Provider;

std::string_view view(const char* text) {
  return text ? std::string_view(text) : std::string_view();
}
bool is_socket(const pqmint_host& host) {
  if (!view(host.hostaddr).empty()) return false;
  const std::string_view name = view(host.host);
  return name.empty() || name.front() == '/' || name.front() == '@';
}

// "localhost" and the like have several addresses, and libpq would try them all. More than a few are of no use: each is
// a host that libpq visits.
constexpr int kMostAddresses = 4;

Result<std::string> addresses_of(const std::string& name) {
  addrinfo hints = {};
  hints.ai_socktype = SOCK_STREAM;
  addrinfo* list = nullptr;
  if (const int failure = getaddrinfo(name.c_str(), nullptr, &hints, &list); failure != 0) {
    return Error{"could not translate host name " + quoted(name, kShownPath) + " to an address (" +
                 gai_strerror(failure) + "); check the name, or give hostaddr="};
  }
  const std::unique_ptr<addrinfo, decltype(&freeaddrinfo)> owned(list, freeaddrinfo);
  std::string out;
  int count = 0;
  for (const addrinfo* a = list; a && count < kMostAddresses; a = a->ai_next) {
    char text[NI_MAXHOST];
    if (getnameinfo(a->ai_addr, a->ai_addrlen, text, sizeof text, nullptr, 0, NI_NUMERICHOST) != 0) continue;
    out += (count++ ? "," : "") + std::string(text);
  }
  if (count == 0) return Error{"host name " + quoted(name, kShownPath) + " has no address"};
  return out;
}

// What will be signed for: a name, recognised or not, and a port.
struct Subject {
  std::string name;  // lower-case, without a trailing dot
  int port = 0;
  Endpoint endpoint;  // kNone: the name says nothing
};

// DSQL tells its clusters apart by TLS SNI; a name without the cluster in it can carry it as a startup option.
std::string cluster_id_option(std::string_view options) {
  constexpr std::string_view kOption = "amzn-cluster-id=";
  const size_t at = options.find(kOption);
  if (at == options.npos) return "";
  std::string_view id = options.substr(at + kOption.size());
  return lower(id.substr(0, id.find_first_of(" \t")));
}

std::string public_dsql_name(std::string_view cluster_id, std::string_view region) {
  return std::string(cluster_id) + ".dsql." + std::string(region) + ".on.aws";
}

/// The steps for one host. Each returns false when it has set the grant's error.
class Granting {
 public:
  Granting(const pqmint_request& request, const pqmint_host& host, const Patience& patience)
      : request_(request), host_(host), patience_(patience) {}

  Grant run() {
    grant_.managed = true;
    grant_.host = view(host_.host);
    // Short-circuits at the first step that fails; what was learned until then stays for `pqmint check`.
    static_cast<void>(read_spec() && refuse_socket() && find_subject() && find_service() && refuse_plaintext() &&
                      (grant_.service == Service::kEntra     ? fetch()
                       : grant_.service == Service::kCommand ? ask()
                                                             : sign()));
    return std::move(grant_);
  }

 private:
  bool fail(std::string sentence) {
    grant_.error = std::move(sentence);
    return false;
  }
  bool fail(const Error& error) { return fail(error.text); }

  bool read_spec() {
    if (!host_.spec) return true;
    auto spec = parse_token_spec(host_.spec);
    if (!spec) return fail(spec.error());
    spec_ = std::move(*spec);
    return true;
  }

  bool refuse_socket() {
    if (!is_socket(host_)) return true;
    return fail("a token is never sent over a Unix socket, which has no TLS; name the server with host= or PGHOST");
  }

  // Before anything is fetched for a connection that may not be. Who only takes a token elsewhere sees to TLS there,
  // and may have sslmode set for something else; but nobody has Kerberos demanded by chance.
  bool refuse_plaintext() {
    const char* why = forbidden(request_.only_token ? "" : view(request_.sslmode), view(request_.gssencmode));
    return !why || fail(why);
  }

  bool find_subject() {
    // libpq has its own words for a port that is none, and pqmint leaves them to it.
    const int port = static_cast<int>(std::strtol(host_.port, nullptr, 10));
    subject_.port = spec_.endpoint_host.empty() ? port : spec_.endpoint_port;
    subject_.name = lower(spec_.endpoint_host.empty() ? view(host_.host) : spec_.endpoint_host);
    if (subject_.name.ends_with('.')) subject_.name.pop_back();
    if (subject_.name.empty()) {
      return fail(std::string("only an address is given, and ") +
                  (spec_.provider == Provider::kCommand ? "TLS verifies" : "a token is signed for") +
                  " a name; add host=, or endpoint= in the token spec");
    }
    if (!is_bare_name(subject_.name)) {
      return fail(quoted(subject_.name, kShownPath) +
                  " is no host name: leave out scheme, user, path and blanks; the port has a setting of its own");
    }
    subject_.endpoint = classify(subject_.name);
    return true;
  }

  void note_tunnel() {
    grant_.note =
        "the address " + std::string(view(host_.hostaddr)) +
        " is this machine's own, and the port that is dialled there is signed: if a tunnel begins there, name "
        "the database's own port with passfile=pqmint:rds?endpoint=" +
        subject_.name + ":5432";
  }

  bool find_service() {
    const Endpoint& endpoint = subject_.endpoint;
    if (spec_.provider == Provider::kCommand) return take_command();
    const Service asked = spec_.provider == Provider::kRds     ? Service::kRds
                          : spec_.provider == Provider::kDsql  ? Service::kDsql
                          : spec_.provider == Provider::kEntra ? Service::kEntra
                                                               : Service::kNone;
    if (asked == Service::kNone && endpoint.service == Service::kNone) {
      return fail(quoted(subject_.name, kShownPath) +
                  " does not say which service it is; for a tunnel or a CNAME put the real endpoint "
                  "into the token spec: pqmint:rds?endpoint=NAME.rds.amazonaws.com:5432");
    }
    if (asked != Service::kNone && endpoint.service != Service::kNone && asked != endpoint.service) {
      return fail("the token spec asks for " + std::string(name_of(asked)) + ", but " +
                  quoted(subject_.name, kShownPath) + " is an endpoint of " + name_of(endpoint.service));
    }
    grant_.service = asked != Service::kNone ? asked : endpoint.service;
    grant_.kind = endpoint.kind;
    grant_.is_explicit = endpoint.service == Service::kNone;
    // Other tokens hold no port.
    const bool signs_port = grant_.service == Service::kRds && spec_.endpoint_host.empty();
    if (signs_port && is_loopback(view(host_.hostaddr))) note_tunnel();
    if (grant_.service != Service::kEntra && request_.at_terminal) {
      return fail("a device code is for Microsoft Entra, and " + quoted(subject_.name, kShownPath) +
                  " is an endpoint of AWS; leave --device-code out, and run aws sso login or aws login");
    }
    if (grant_.service == Service::kRds && spec_.expires_in != 0) {
      return fail("expires_in= in the token spec is for DSQL only; RDS takes no token that lives longer than 900 s");
    }
    return true;
  }

  // Any host may be asked for so, whatever its name says: what its server takes is the user's to know.
  bool take_command() {
    grant_.service = Service::kCommand;
    grant_.kind = subject_.endpoint.kind;
    grant_.is_explicit = true;
    if (!host_.may_run) {
      return fail(
          "the token spec asks for a command, and stands where others than this program's user may have written it (as "
          "a password, or inside a PostgreSQL server), so none is run; say it with passfile=, PGPASSFILE, PGPASSWORD "
          "or "
          "in the password file");
    }
    if (!request_.at_terminal) return true;
    return fail("a device code is for Microsoft Entra, and the token spec asks for a command; leave --device-code out");
  }

  // RDS and DSQL: the token is a signature, and only the keys may have to be fetched.
  bool sign() { return find_region() && settle_dsql_name() && settle_address() && find_keys() && sign_token(); }

  // Entra: the token itself is fetched.
  bool fetch() { return settle_name() && settle_address() && fetch_token() && find_user(); }

  // A command: the token is what it prints.
  bool ask() { return settle_name() && settle_address() && run_command(); }

  bool find_region() {
    const auto take = [&](std::string_view region, const char* source) {
      if (region.empty()) return false;
      grant_.region = region;
      grant_.region_source = source;
      return true;
    };
    if (take(spec_.region, "option") || take(subject_.endpoint.region(), "host")) return true;
    if (!take(variable("AWS_REGION"), "AWS_REGION") && !take(variable("AWS_DEFAULT_REGION"), "AWS_DEFAULT_REGION")) {
      auto region = profile_region(spec_.credentials);
      if (!region) return fail(region.error());
      if (!take(*region, "profile") && !take(region_of_machine(), "imds")) {
        return fail(
            "no region: " + quoted(subject_.name, kShownPath) + " does not name one; " +
            (is_loopback(subject_.name)
                 ? "if a tunnel to the database begins there, name its end with endpoint= in the token spec"
                 : std::string("set AWS_REGION, or region= in the token spec") +
                       (grant_.kind == HostKind::kGlobalWriter ? ", to the region of the cluster that is the writer now"
                                                               : "")));
      }
    }
    if (is_region_name(grant_.region)) return true;
    return fail("the region " + quoted(grant_.region) + " (from " + grant_.region_source +
                ") is not the name of a region");
  }

  // The metadata service's, if there is one; that it does not know is no error of its own.
  std::string region_of_machine() const {
    const auto plan = plan_imds_region(spec_.credentials);
    if (!plan || !*plan) return "";
    const auto fetched = stored_credentials(**plan, patience_);
    return fetched && !(*fetched)->is_absent ? (*fetched)->text : "";
  }

  // TLS is verified against the name that the token is for.
  bool settle_name() {
    grant_.host = spec_.endpoint_host.empty() ? view(host_.host) : subject_.name;
    if (grant_.host.ends_with('.')) grant_.host.pop_back();
    grant_.endpoint = subject_.name + ":" + std::to_string(subject_.port);
    dials_elsewhere_ = !spec_.endpoint_host.empty() && lower(view(host_.host)) != subject_.name;
    return true;
  }

  // Two kinds of DSQL name are not what is signed for: a bare cluster id, and the name of a VPC endpoint.
  bool settle_dsql_name() {
    settle_name();
    if (grant_.kind == HostKind::kDsqlClusterId) {
      subject_.name = public_dsql_name(subject_.endpoint.cluster_id(), grant_.region);
      grant_.host = subject_.name;
    } else if (grant_.kind == HostKind::kDsqlVpce) {
      const std::string id = cluster_id_option(view(request_.options));
      if (classify(id).kind != HostKind::kDsqlClusterId) {
        return fail(quoted(subject_.name, kShownPath) +
                    " names a VPC endpoint, not a cluster; say which one with options='-c "
                    "amzn-cluster-id=ID', or with endpoint=ID.dsql.REGION.on.aws in a token spec");
      }
      subject_.name = public_dsql_name(id, grant_.region);
      grant_.host = subject_.name;
      dials_elsewhere_ = true;
    }
    if (grant_.service == Service::kDsql) grant_.endpoint = subject_.name;
    return true;
  }

  // TLS is verified against the endpoint's name, while the bytes go where the user said.
  bool settle_address() {
    if (!dials_elsewhere_) return true;
    if (!view(host_.hostaddr).empty()) {
      grant_.hostaddrs = host_.hostaddr;
      return true;
    }
    auto addresses = addresses_of(std::string(view(host_.host)));
    if (!addresses) return fail(addresses.error());
    grant_.hostaddrs = std::move(*addresses);
    return true;
  }

  bool find_keys() {
    Trail& trail = grant_.credential_trail;
    auto plan = plan_credentials(spec_.credentials, server_now(), trail);
    if (!plan) return fail(plan.error());
    grant_.credential_source = plan->source;
    grant_.credential_name = plan->name;
    if (plan->keys) {
      credentials_ = std::move(*plan->keys);
    } else {
      const auto fetched = stored_credentials(*plan, patience_);
      if (!fetched) return fail(fetched.error());
      if ((*fetched)->is_absent) {
        trail.emplace_back(plan->source, (*fetched)->text);
        grant_.credential_source.clear();
        return fail(nothing_found(spec_.credentials, trail));
      }
      remember((*fetched)->at, std::move(*plan));
      if (grant_.credential_source == "imds") trail.emplace_back("imds", "used");
      credentials_ = (*fetched)->keys.clone();
    }
    grant_.identity = masked(credentials_.access_key_id);
    grant_.credential_expires = credentials_.expires;
    return true;
  }

  // What this call has not fetched itself came from memory, and may be stale in a way that only the server knows.
  void remember(std::chrono::steady_clock::time_point fetched_at, CredentialPlan plan) {
    if (fetched_at >= patience_.since) return;
    grant_.remembered = std::make_shared<const CredentialPlan>(std::move(plan));
    grant_.remembered_since = fetched_at;
  }

  Result<std::vector<CredentialPlan>> token_plans(Trail& trail) const {
    if (!request_.at_terminal) return plan_entra(spec_.entra, subject_.name, grant_.kind, trail);
    auto plan = plan_device_code(spec_.entra, subject_.name, grant_.kind);
    if (!plan) return plan.error();
    std::vector<CredentialPlan> only;
    only.push_back(std::move(*plan));
    return only;
  }

  bool fetch_token() {
    Trail& trail = grant_.credential_trail;
    auto plans = token_plans(trail);
    if (!plans) return fail(plans.error());
    for (CredentialPlan& plan : *plans) {
      const auto fetched = stored_credentials(plan, patience_);
      if (!fetched) {
        grant_.credential_source = plan.source;
        return fail(fetched.error());
      }
      const FetchedCredentials& found = **fetched;
      trail.emplace_back(plan.source, found.is_absent ? found.text : "used");
      if (found.is_absent) continue;
      grant_.credential_source = plan.source;
      grant_.token = found.token.clone();
      grant_.token_since = found.at;
      grant_.token_expires = grant_.credential_expires = found.expires;
      grant_.identity = found.identity;
      claimed_user_ = found.text;
      remember(found.at, std::move(plan));
      return true;
    }
    return fail(no_entra_token(trail));
  }

  bool run_command() {
    constexpr size_t kShownProgram = 80;
    const CommandWish& wish = spec_.command;
    CredentialPlan plan;
    plan.source = "command";
    plan.name = shown(wish.program, kShownProgram);
    plan.set("command", wish.command);
    plan.set("host", view(host_.host).empty() ? view(host_.hostaddr) : view(host_.host));
    plan.set("port", host_.port);
    plan.set("user", view(request_.user));
    plan.set("database", view(request_.dbname));
    if (wish.timeout != 0) plan.set("timeout", std::to_string(wish.timeout));
    if (wish.lifetime != 0) plan.set("lifetime", std::to_string(wish.lifetime));
    grant_.credential_source = plan.source;
    grant_.credential_name = plan.name;
    if (wish.lifetime == 0) {
      const auto printed = fetch_credentials(plan, nullptr, patience_.deadline);
      if (!printed) return fail(printed.error());
      grant_.token = printed->token.clone();
      grant_.token_since = std::chrono::steady_clock::now();
      return true;
    }
    const auto kept = stored_credentials(plan, patience_);
    if (!kept) return fail(kept.error());
    grant_.token = (*kept)->token.clone();
    grant_.token_since = (*kept)->at;
    grant_.token_expires = grant_.credential_expires = (*kept)->expires;
    remember((*kept)->at, std::move(plan));
    return true;
  }

  // Whoever named no user did not mean the one that the operating system knows: no role of Entra's has such a name.
  bool find_user() {
    if (request_.user_is_given) return true;
    grant_.user = claimed_user_;
    if (!grant_.user.empty()) return true;
    return fail("no user is given, and the claims of the token (" + grant_.identity +
                ") do not tell the name of a role; set user= to the role that was made for this identity");
  }

  bool sign_token() {
    // One reading of the clock, after the fetch, which may have corrected it: the date in a token's scope and its time
    // must be of the same instant.
    const int64_t now = server_now();
    grant_.token_since = std::chrono::steady_clock::now();
    // A token dies with the keys that signed it, whatever it says of itself.
    const int64_t keys_live = credentials_.expires ? credentials_.expires - now : INT64_MAX;
    if (keys_live <= 0) {
      return fail("the AWS keys (" + grant_.credential_source +
                  ") had expired by this machine's clock before they could sign; set the clock, and unset "
                  "AWS_DISABLE_CLOCK_SKEW_CORRECTION if it is true");
    }
    const std::string_view user = view(request_.user);
    if (grant_.service == Service::kRds) {
      grant_.token = mint_rds_token(credentials_, subject_.name, subject_.port, user, grant_.region, now);
      grant_.token_expires = now + std::min(kRdsTokenLife, keys_live);
    } else {
      const int64_t life = std::min(spec_.expires_in ? spec_.expires_in : kDsqlDefaultTokenLife, keys_live);
      grant_.token = mint_dsql_token(credentials_, subject_.name, user == "admin", grant_.region, life, now);
      grant_.token_expires = now + life;
    }
    if (grant_.token.empty())
      return fail("OpenSSL could not compute SHA-256; is it restricted by its configuration (OPENSSL_CONF)?");
    return true;
  }

  const pqmint_request& request_;
  const pqmint_host& host_;
  const Patience& patience_;
  TokenSpec spec_;
  Subject subject_;
  Credentials credentials_;
  std::string claimed_user_;
  bool dials_elsewhere_ = false;
  Grant grant_;
};

}  // namespace

Grant grant_for(const pqmint_request& request, const pqmint_host& host, const Patience& patience) {
  if (!host.wanted) return {};
  return Granting(request, host, patience).run();
}

}  // namespace pqmint
