// SPDX-License-Identifier: PostgreSQL
// Which managed database a host name stands for: a name comes in; service, kind and region go out.
//
// The labels of a name are taken off from the right, where AWS decides what they are; what the
// customer chose is what remains on the left. The preload object links this without libstdc++, so
// string_view serves only through members that can neither throw nor assert: no substr, operator[],
// starts_with or remove_prefix.

#include "base/endpoint.h"

#include <string.h>

namespace pqmint {
namespace {

/// DNS allows no longer label (RFC 1035, 2.3.4).
constexpr size_t kMaxLabel = 63;
/// What the DSQL connectors take for a cluster id: 26 letters and digits.
constexpr size_t kClusterIdLength = 26;

struct Partition {
  std::string_view suffix;
  /// How its regions begin; a word and a number follow. By pattern, because new regions open every
  /// year.
  std::string_view regions[10];
};

// botocore's partitions.json, and two suffixes that only the AWS Advanced JDBC wrapper knows (.au,
// .uk).
constexpr Partition kPartitions[] = {
    {".amazonaws.com", {"us-", "eu-", "ap-", "sa-", "ca-", "me-", "af-", "il-", "mx-", "us-gov-"}},
    {".amazonaws.com.cn", {"cn-"}},
    {".amazonaws.eu", {"eusc-de-"}},
    {".amazonaws.au", {"us-", "eu-", "ap-", "sa-", "ca-", "me-", "af-", "il-", "mx-"}},
    {".amazonaws.uk", {"us-", "eu-", "ap-", "sa-", "ca-", "me-", "af-", "il-", "mx-"}},
    {".c2s.ic.gov", {"us-iso-"}},
    {".sc2s.sgov.gov", {"us-isob-"}},
    {".cloud.adc-e.uk", {"eu-isoe-"}},
    {".csp.hci.ic.gov", {"us-isof-"}},
};

// DSQL exists in the commercial partition alone.
constexpr Partition kDsqlPartition = {".on.aws", {"us-", "eu-", "ap-", "sa-", "ca-", "me-", "af-", "il-", "mx-"}};

struct AzureSuffix {
  std::string_view suffix;
  HostKind kind;
};

// By suffix, however many labels stand before it: private link, virtual networks and virtual endpoints add theirs.
constexpr AzureSuffix kAzureSuffixes[] = {
    {".postgres.database.azure.com", HostKind::kAzure},
    {".postgres.database.usgovcloudapi.net", HostKind::kAzure},
    {".postgres.database.chinacloudapi.cn", HostKind::kAzure},
    {".postgres.cosmos.azure.com", HostKind::kCosmos},
    {".postgres.cosmos.azure.us", HostKind::kCosmos},
};

bool is_digit(char c) {
  return c >= '0' && c <= '9';
}
bool is_alnum(char c) {
  return (c >= 'a' && c <= 'z') || is_digit(c);
}

bool is_alnum(std::string_view text) {
  for (const char c : text) {
    if (!is_alnum(c)) return false;
  }
  return !text.empty();
}

/// Cuts `prefix` off the front of `text`, if it is there.
bool drop_prefix(std::string_view& text, std::string_view prefix) {
  if (text.size() < prefix.size()) return false;
  if (memcmp(text.data(), prefix.data(), prefix.size()) != 0) return false;
  text = {text.data() + prefix.size(), text.size() - prefix.size()};
  return true;
}

bool drop_suffix(std::string_view& text, std::string_view suffix) {
  if (text.size() < suffix.size()) return false;
  const size_t rest = text.size() - suffix.size();
  if (memcmp(text.data() + rest, suffix.data(), suffix.size()) != 0) return false;
  text = {text.data(), rest};
  return true;
}

/// Cuts the last label off and returns it; empty when there is none left.
std::string_view pop_label(std::string_view& text) {
  size_t begin = text.size();
  while (begin > 0 && text.data()[begin - 1] != '.') --begin;
  const std::string_view label(text.data() + begin, text.size() - begin);
  text = {text.data(), begin == 0 ? 0 : begin - 1};
  return label;
}

/// `<word>-<number>`, what stands after a partition's own prefix: "east-1".
bool is_word_and_number(std::string_view text) {
  size_t digits = 0;
  while (digits < text.size() && is_digit(text.data()[text.size() - 1 - digits])) ++digits;
  if (digits == 0) return false;
  text = {text.data(), text.size() - digits};
  return drop_suffix(text, "-") && is_alnum(text);
}

bool has_region(const Partition& partition, std::string_view label) {
  for (const std::string_view prefix : partition.regions) {
    std::string_view rest = label;
    if (!prefix.empty() && drop_prefix(rest, prefix) && is_word_and_number(rest)) return true;
  }
  return false;
}

bool is_cluster_id(std::string_view text) {
  return text.size() == kClusterIdLength && is_alnum(text);
}

/// Copies the name in lower case and without its trailing dot; false if it cannot be the name of a
/// managed database.
bool normalise(std::string_view host, Endpoint& out) {
  if (!host.empty() && host.data()[host.size() - 1] == '.') host = {host.data(), host.size() - 1};
  if (host.empty() || host.size() > kMaxHostName) return false;
  size_t label = 0;
  for (size_t i = 0; i < host.size(); ++i) {
    char c = host.data()[i];
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
    if (c == '.') {
      if (label == 0) return false;
      label = 0;
    } else if (!is_alnum(c) && c != '-' && c != '_') {
      return false;
    } else if (++label > kMaxLabel) {
      return false;
    }
    out.text[i] = c;
  }
  out.length = static_cast<uint8_t>(host.size());
  return label != 0;
}

void set_region(Endpoint& out, std::string_view region) {
  out.region_at = static_cast<uint8_t>(region.data() - out.text);
  out.region_length = static_cast<uint8_t>(region.size());
}

/// The label that carries the account's hash says by its prefix what kind of endpoint it is.
HostKind kind_of_hash_label(std::string_view label, bool global) {
  HostKind kind = HostKind::kInstance;
  if (global) {
    if (!drop_prefix(label, "global-")) return HostKind::kNone;
    kind = HostKind::kGlobalWriter;
  } else if (drop_prefix(label, "cluster-ro-")) {
    kind = HostKind::kClusterReader;
  } else if (drop_prefix(label, "cluster-custom-")) {
    kind = HostKind::kClusterCustom;
  } else if (drop_prefix(label, "cluster-")) {
    kind = HostKind::kClusterWriter;
  } else if (drop_prefix(label, "proxy-")) {
    kind = HostKind::kProxy;
  } else if (drop_prefix(label, "shardgrp-")) {
    kind = HostKind::kLimitless;
  }
  // A second "rds" label is a name put together wrongly, not an instance whose hash is "rds".
  return is_alnum(label) && label != "rds" ? kind : HostKind::kNone;
}

/// `<name>.<hash label>.<region>.rds<suffix>`, or with `rds` before the region: partitions differ,
/// all are accepted.
bool classify_rds(const Partition& partition, std::string_view rest, Endpoint& out) {
  const auto is_rds = [](std::string_view label) { return label == "rds" || label == "rds-fips"; };
  const std::string_view last = pop_label(rest);
  const std::string_view before = pop_label(rest);
  if (is_rds(last) == is_rds(before)) return false;
  const std::string_view region = is_rds(last) ? before : last;

  const bool global = region == "global";
  if (!global && !has_region(partition, region)) return false;
  HostKind kind = kind_of_hash_label(pop_label(rest), global);
  if (kind == HostKind::kNone || rest.empty()) return false;
  if (kind == HostKind::kProxy && drop_suffix(rest, ".endpoint")) kind = HostKind::kProxyEndpoint;

  out.service = Service::kRds;
  out.kind = kind;
  if (!global) set_region(out, region);
  return true;
}

/// `vpce-<id>.dsql-<suffix>.<region>.vpce<suffix>`. Without a suffix on "dsql" it is the management
/// API's endpoint.
bool classify_dsql_vpce(const Partition& partition, std::string_view rest, Endpoint& out) {
  if (!drop_suffix(rest, ".vpce")) return false;
  const std::string_view region = pop_label(rest);
  std::string_view service = pop_label(rest);
  std::string_view id = pop_label(rest);
  if (!rest.empty() || !has_region(partition, region)) return false;
  if (!drop_prefix(service, "dsql-") || !is_alnum(service)) return false;
  if (!drop_prefix(id, "vpce-")) return false;
  out.service = Service::kDsql;
  out.kind = HostKind::kDsqlVpce;
  set_region(out, region);
  return true;
}

/// `<cluster id>.dsql[...].<region>.on.aws`: "dsql" and its pre-production stages (dsqlbeta, dsqlx,
/// dsql-gamma), which the official connectors accept, or a PrivateLink name such as dsql-fnh4.
bool classify_dsql(std::string_view rest, Endpoint& out) {
  const std::string_view region = pop_label(rest);
  const std::string_view service = pop_label(rest);
  if (!is_cluster_id(rest) || !has_region(kDsqlPartition, region)) return false;
  std::string_view stage = service;
  if (!drop_prefix(stage, "dsql")) return false;
  const bool link = drop_prefix(stage, "-") && service != "dsql-gamma";
  if (stage.empty() ? service != "dsql" : !is_alnum(stage)) return false;
  out.service = Service::kDsql;
  out.kind = link ? HostKind::kDsqlPrivateLink : HostKind::kDsql;
  out.cluster_id_length = kClusterIdLength;
  set_region(out, region);
  return true;
}

bool recognise(Endpoint& out) {
  if (is_cluster_id(out.name())) {
    out.service = Service::kDsql;
    out.kind = HostKind::kDsqlClusterId;
    out.cluster_id_length = kClusterIdLength;
    return true;
  }
  for (const AzureSuffix& azure : kAzureSuffixes) {
    std::string_view server = out.name();
    if (!drop_suffix(server, azure.suffix) || server.empty()) continue;
    out.service = Service::kEntra;
    out.kind = azure.kind;
    return true;
  }
  std::string_view rest = out.name();
  if (drop_suffix(rest, kDsqlPartition.suffix)) return classify_dsql(rest, out);
  for (const Partition& partition : kPartitions) {
    rest = out.name();
    if (!drop_suffix(rest, partition.suffix)) continue;
    return classify_rds(partition, rest, out) || classify_dsql_vpce(partition, rest, out);
  }
  return false;
}

}  // namespace

Endpoint classify(std::string_view host) {
  Endpoint found;
  if (normalise(host, found) && recognise(found)) return found;
  return Endpoint();
}

bool is_loopback(std::string_view host) {
  return host == "localhost" || host == "::1" || drop_prefix(host, "127.");
}

const char* name_of(Service service) {
  switch (service) {
    case Service::kNone:
      return "none";
    case Service::kRds:
      return "rds";
    case Service::kDsql:
      return "dsql";
    case Service::kEntra:
      return "entra";
    case Service::kCommand:
      return "command";
  }
  return "none";
}

const char* name_of(HostKind kind) {
  switch (kind) {
    case HostKind::kNone:
      return "none";
    case HostKind::kClusterWriter:
      return "cluster-writer";
    case HostKind::kClusterReader:
      return "cluster-reader";
    case HostKind::kClusterCustom:
      return "cluster-custom";
    case HostKind::kInstance:
      return "instance";
    case HostKind::kProxy:
      return "proxy";
    case HostKind::kProxyEndpoint:
      return "proxy-endpoint";
    case HostKind::kLimitless:
      return "limitless";
    case HostKind::kGlobalWriter:
      return "global-writer";
    case HostKind::kDsql:
      return "dsql";
    case HostKind::kDsqlPrivateLink:
      return "dsql-privatelink";
    case HostKind::kDsqlClusterId:
      return "dsql-cluster-id";
    case HostKind::kDsqlVpce:
      return "dsql-vpce";
    case HostKind::kAzure:
      return "azure";
    case HostKind::kCosmos:
      return "cosmos";
  }
  return "none";
}

bool is_region_name(std::string_view region) {
  if (region.empty() || region.size() > kMaxLabel) return false;
  bool only_digits = true;
  for (const char c : region) {
    const bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
    if (!letter && !is_digit(c) && c != '-') return false;
    only_digits = only_digits && is_digit(c);
  }
  return !only_digits && region.data()[0] != '-' && region.data()[region.size() - 1] != '-';
}

}  // namespace pqmint
