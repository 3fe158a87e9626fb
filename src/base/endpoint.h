// SPDX-License-Identifier: PostgreSQL
// Which managed database a host name stands for: a name comes in; service, kind and region go out.
//
// Needs libc only, because the preload object asks this of every connection of every program. No regular expressions:
// compiling them costs 1.6 ms a process and 8 us a match; comparing a suffix costs 1 ns.
#pragma once

#include <stddef.h>
#include <stdint.h>

#include <string_view>

namespace pqmint {

/// What makes the token. kCommand (a program of the user's own) is asked for by a token spec, never told by a name.
enum class Service : uint8_t { kNone, kRds, kDsql, kEntra, kCommand };

enum class HostKind : uint8_t {
  kNone,
  kClusterWriter,
  kClusterReader,
  kClusterCustom,
  kInstance,
  kProxy,
  kProxyEndpoint,
  kLimitless,
  kGlobalWriter,
  kDsql,
  kDsqlPrivateLink,
  kDsqlClusterId,  // the bare 26-character id: the public host name is built from it and a region
  kDsqlVpce,       // names a VPC endpoint, not a cluster: cannot be signed for by itself
  kAzure,          // Azure Database for PostgreSQL: Flexible Server, its replicas and virtual endpoints
  kCosmos,         // Azure Cosmos DB for PostgreSQL
};

/// The longest name DNS allows; anything longer is not ours.
inline constexpr size_t kMaxHostName = 253;

/// A host name that was recognised, lower-cased, without a trailing dot. Owns its text; copies freely.
struct Endpoint {
  Service service = Service::kNone;
  HostKind kind = HostKind::kNone;
  std::string_view name() const { return {text, length}; }
  /// Empty where the name does not say it (global writer, bare cluster id): it must come from elsewhere.
  std::string_view region() const { return {text + region_at, region_length}; }
  /// For the kinds of DSQL that carry it: the cluster id. Empty otherwise.
  std::string_view cluster_id() const { return {text, cluster_id_length}; }

  char text[kMaxHostName + 1] = {};
  uint8_t length = 0;
  uint8_t region_at = 0;
  uint8_t region_length = 0;
  uint8_t cluster_id_length = 0;
};

/// Recognises RDS, Aurora, RDS Proxy, Limitless, custom, global and DSQL endpoints in every AWS partition, and Azure
/// Database for PostgreSQL and Cosmos DB for PostgreSQL in the public, US Government and China clouds.
/// `service` is kNone for every other name, IP literals and socket paths included. Never guesses a region.
/// Thread-safe, allocates nothing. Sources: the AWS Advanced JDBC wrapper's host patterns, botocore's partitions, and
/// the Azure CLI's clouds.
Endpoint classify(std::string_view host);

/// Whether a host name or address is this machine's own: "localhost", 127.0.0.0/8 or ::1.
bool is_loopback(std::string_view host);

/// The word for it in `pqmint check`: "rds", "dsql", "entra", "command"; "cluster-writer", "dsql-vpce" ...
const char* name_of(Service service);
const char* name_of(HostKind kind);

/// Whether `region` has the shape of an AWS region's name (letters, digits and hyphens, at most 63, not all digits, no
/// hyphen at either end): what botocore asks of one. Says nothing about whether the region exists.
bool is_region_name(std::string_view region);

}  // namespace pqmint
