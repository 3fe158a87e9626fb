// SPDX-License-Identifier: PostgreSQL
// Host names. Only what ends in a cloud's own suffix is ours; upper case and one dot at the end change nothing.

#include "base/endpoint.h"

#include "promise.h"

namespace pqmint::fuzz {
namespace {

// Written down apart from endpoint.cc, so that a slip there is one.
constexpr std::string_view kAwsSuffixes[] = {
    ".amazonaws.com", ".amazonaws.com.cn", ".amazonaws.eu",   ".amazonaws.au",   ".amazonaws.uk",
    ".c2s.ic.gov",    ".sc2s.sgov.gov",    ".cloud.adc-e.uk", ".csp.hci.ic.gov",
};
constexpr std::string_view kAzureSuffixes[] = {
    ".postgres.database.azure.com",        ".postgres.database.usgovcloudapi.net",
    ".postgres.database.chinacloudapi.cn", ".postgres.cosmos.azure.com",
    ".postgres.cosmos.azure.us",
};

template <typename List>
bool ends_in_one_of(std::string_view name, const List& suffixes) {
  return std::ranges::any_of(
      suffixes, [&](std::string_view suffix) { return name.ends_with(suffix) && name.size() > suffix.size(); });
}

bool same(const Endpoint& a, const Endpoint& b) {
  return a.service == b.service && a.kind == b.kind && a.name() == b.name() && a.region() == b.region() &&
         a.cluster_id() == b.cluster_id();
}

}  // namespace

void host(std::string_view input) {
  const Endpoint found = classify(input);
  std::string upper(input), lower(input);
  for (char& c : upper) c = c >= 'a' && c <= 'z' ? static_cast<char>(c - 'a' + 'A') : c;
  for (char& c : lower) c = c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
  PROMISE(same(classify(upper), found), input);
  if (!input.ends_with('.')) PROMISE(same(classify(lower + "."), found), input);
  // Further labels behind a name make it somebody else's, unless they are a suffix themselves.
  PROMISE(classify(lower + ".evil.example").service == Service::kNone, input);
  PROMISE(classify(lower + "@evil").service == Service::kNone, input);
  PROMISE(classify("evil/" + lower).service == Service::kNone, input);
  PROMISE(classify(lower + "..").service == Service::kNone, input);

  if (found.service == Service::kNone) {
    PROMISE(found.name().empty() && found.region().empty() && found.kind == HostKind::kNone, input);
    return;
  }
  std::string_view name = lower;
  if (name.ends_with('.')) name.remove_suffix(1);
  PROMISE(found.name() == name && same(classify(found.name()), found), input);
  PROMISE(found.kind != HostKind::kNone && found.name().size() <= kMaxHostName, input);
  for (const std::string_view label : split(name, ".")) PROMISE(!label.empty() && label.size() <= 63, input);
  for (const char c : name) {
    PROMISE((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '_' || c == '.', input);
  }
  PROMISE(found.region().empty() || is_region_name(found.region()), input);
  PROMISE(found.region().empty() || has(name, "." + std::string(found.region()) + "."), input);
  switch (found.service) {
    case Service::kRds:
      PROMISE(ends_in_one_of(name, kAwsSuffixes) && (has(name, ".rds.") || has(name, ".rds-fips.")), input);
      PROMISE(!found.region().empty() || found.kind == HostKind::kGlobalWriter, input);
      break;
    case Service::kDsql:
      if (found.kind == HostKind::kDsqlClusterId) {
        PROMISE(name.size() == 26 && !has(name, "."), input);
      } else if (found.kind == HostKind::kDsqlVpce) {
        PROMISE(ends_in_one_of(name, kAwsSuffixes) && name.starts_with("vpce-") && has(name, ".vpce."), input);
      } else {
        PROMISE(name.ends_with(".on.aws") && found.cluster_id().size() == 26 && has(name, ".dsql"), input);
      }
      PROMISE(!found.region().empty() || found.kind == HostKind::kDsqlClusterId, input);
      break;
    case Service::kEntra:
      PROMISE(ends_in_one_of(name, kAzureSuffixes), input);
      break;
    case Service::kCommand:  // no host name says so
      PROMISE(false, input);
      break;
    case Service::kNone:
      break;
  }
}

}  // namespace pqmint::fuzz
