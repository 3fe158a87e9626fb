// SPDX-License-Identifier: PostgreSQL
// The transport floor: libpq's TLS settings in, what they must be for a token out.

#include "core/policy.h"

#include <pwd.h>
#include <unistd.h>

#include <cstdlib>
#include <vector>

namespace pqmint {
namespace {

// Where people and images put the file that AWS offers as global-bundle.pem.
constexpr const char* kRdsBundles[] = {
    "/etc/ssl/certs/rds-global-bundle.pem",     "/etc/ssl/certs/global-bundle.pem",
    "/etc/pki/tls/certs/rds-global-bundle.pem", "/etc/pki/tls/certs/global-bundle.pem",
    "/usr/local/share/rds/global-bundle.pem",   "/certs/global-bundle.pem",
};

// One file with all the roots that the distribution trusts: Debian and Alpine, Fedora and RHEL, openSUSE.
constexpr const char* kSystemBundles[] = {
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
};

// sslrootcert=system, which takes OpenSSL's default places and insists on verify-full.
constexpr int kFirstLibpqWithSystemRoots = 160000;

bool is_readable(const std::string& path) {
  return access(path.c_str(), R_OK) == 0;
}

std::string home_directory() {
  if (const char* home = std::getenv("HOME"); home && *home) return home;
  passwd entry;
  passwd* found = nullptr;
  char buffer[4096];
  if (getpwuid_r(geteuid(), &entry, buffer, sizeof buffer, &found) != 0 || !found) return "";
  return found->pw_dir;
}

std::string bundle_url(std::string_view region) {
  if (region.starts_with("cn-"))
    return "https://rds-truststore.s3.cn-north-1.amazonaws.com.cn/global/global-bundle.pem";
  if (region.starts_with("us-gov-"))
    return "https://truststore.pki.us-gov-west-1.rds.amazonaws.com/global/global-bundle.pem";
  return "https://truststore.pki.rds.amazonaws.com/global/global-bundle.pem";
}

std::string joined(const std::vector<std::string>& places) {
  std::string out;
  for (const std::string& place : places) out += (out.empty() ? "" : ", ") + place;
  return out;
}

}  // namespace

TlsWish::Authority authority_of(Service service, HostKind kind) {
  const bool is_proxy = kind == HostKind::kProxy || kind == HostKind::kProxyEndpoint;
  const bool is_named_so = kind >= HostKind::kClusterWriter && kind <= HostKind::kGlobalWriter;
  const bool is_rds = service == Service::kRds || (service == Service::kCommand && is_named_so);
  return is_rds && !is_proxy ? TlsWish::Authority::kRds : TlsWish::Authority::kPublic;
}

std::optional<std::string> raised_sslmode(std::string_view sslmode) {
  // allow and prefer go on in clear when the server says no to TLS, and again after a login that was refused.
  const bool kept = sslmode == "disable" || sslmode == "require" || sslmode == "verify-ca" || sslmode == "verify-full";
  return kept ? std::nullopt : std::optional<std::string>("verify-full");
}

const char* forbidden(std::string_view sslmode, std::string_view gssencmode) {
  if (sslmode == "disable") {
    return "sslmode=disable, and a token is never sent without TLS; leave sslmode out (pqmint then verifies the "
           "server), or set sslmode=verify-full";
  }
  if (gssencmode == "require") {
    return "gssencmode=require, and a token is sent inside TLS only, in whose place encryption by Kerberos would come; "
           "leave gssencmode out";
  }
  return nullptr;
}

Result<TlsPlan> plan_tls(const TlsWish& wish) {
  TlsPlan plan;
  if (const char* why = forbidden(wish.sslmode, wish.gssencmode)) return Error{why};
  if (wish.sslmode == "require") return plan;
  plan.sslmode = raised_sslmode(wish.sslmode);
  if (!wish.sslrootcert.empty()) return plan;

  const std::string home = home_directory();
  std::vector<std::string> places;
  if (!home.empty()) places.push_back(home + "/.postgresql/root.crt");
  if (wish.authority == TlsWish::Authority::kRds) {
    if (!home.empty()) places.push_back(home + "/.postgresql/global-bundle.pem");
    places.insert(places.end(), std::begin(kRdsBundles), std::end(kRdsBundles));
  } else {
    const bool full = plan.sslmode || wish.sslmode == "verify-full";
    if (full && wish.libpq_version >= kFirstLibpqWithSystemRoots && !(places.size() && is_readable(places[0]))) {
      plan.sslrootcert = "system";
      return plan;
    }
    places.insert(places.end(), std::begin(kSystemBundles), std::end(kSystemBundles));
  }
  for (const std::string& place : places) {
    if (is_readable(place)) {
      plan.sslrootcert = place;
      return plan;
    }
  }
  const std::string remedy = wish.authority == TlsWish::Authority::kRds
                                 ? "sudo curl -fsSo " + std::string(kRdsBundles[0]) + " " + bundle_url(wish.region)
                                 : std::string("sudo apt-get install ca-certificates");
  return Error{"no root certificates to verify the server with (looked for " + joined(places) + "); get them with: " +
               remedy + " ; or name a file with sslrootcert=; or, to go without verification, say sslmode=require"};
}

}  // namespace pqmint
