// SPDX-License-Identifier: PostgreSQL
// Where an AWS service is called: its name, a region and the user's settings come in; a URL and the region to sign for
// go out.
//
// Settings: endpoint_url_sts, endpoint_url_sso, endpoint_url_sso_oidc, endpoint_url_signin, use_fips_endpoint,
// use_dualstack_endpoint ("true").
#pragma once

#include <string>
#include <string_view>

#include "base/result.h"
#include "net/source.h"

namespace pqmint {

enum class AwsService { kSts, kSsoPortal, kSsoOidc, kSignin };

struct AwsEndpoint {
  std::string url;             // "https://sts.eu-west-1.amazonaws.com", without a slash at the end unless it has a path
  std::string signing_region;  // the region, or us-east-1 for the global STS
};

/// An endpoint URL of the user's own wins over FIPS and dual-stack, as in botocore. An empty region (or "aws-global")
/// means the global STS; the other services need one. Source: spec/aws.md 4.6 to 4.8, botocore's endpoint rules.
Result<AwsEndpoint> aws_endpoint(AwsService service, std::string_view region, const Settings& settings);

}  // namespace pqmint
