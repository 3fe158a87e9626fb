// SPDX-License-Identifier: PostgreSQL
// Where an AWS service is called. The table is botocore's endpoint rules for the four services (spec/aws.md 4.6
// to 4.8).

#include "net/aws/endpoint.h"

#include "base/endpoint.h"
#include "base/shown.h"
#include "net/url.h"

namespace pqmint {
namespace {

struct Partition {
  std::string_view region_prefix;
  std::string_view suffix;
  std::string_view dual_stack_suffix;  // empty: there is none
};

// By form, for new regions open every year: the prefix, a word, a number. The commercial partition takes what is left.
constexpr Partition kPartitions[] = {
    {"cn-", "amazonaws.com.cn", "api.amazonwebservices.com.cn"},
    {"us-gov-", "amazonaws.com", "api.aws"},
    {"us-iso-", "c2s.ic.gov", "api.aws.ic.gov"},
    {"us-isob-", "sc2s.sgov.gov", "api.aws.scloud"},
    {"eu-isoe-", "cloud.adc-e.uk", ""},
    {"us-isof-", "csp.hci.ic.gov", ""},
    {"eusc-de-", "amazonaws.eu", "api.amazonwebservices.eu"},
    {"", "amazonaws.com", "api.aws"},
};

/// botocore's \w+-\d+; the characters are those of a region's name already.
bool is_word_and_number(std::string_view text) {
  const size_t dash = text.find('-');
  return dash != text.npos && dash > 0 && dash + 1 < text.size() &&
         text.find_first_not_of("0123456789", dash + 1) == text.npos;
}

const Partition& partition_of(std::string_view region) {
  for (const Partition& partition : kPartitions) {
    const std::string_view prefix = partition.region_prefix;
    if (region.starts_with(prefix) && is_word_and_number(region.substr(prefix.size()))) return partition;
  }
  return kPartitions[std::size(kPartitions) - 1];
}

struct ServiceTraits {
  const char* setting;
  const char* variable;
  const char* name;
  const char* fips_name;
};

ServiceTraits traits_of(AwsService service) {
  switch (service) {
    case AwsService::kSts:
      return {"endpoint_url_sts", "AWS_ENDPOINT_URL_STS", "sts", "sts-fips"};
    case AwsService::kSsoPortal:
      return {"endpoint_url_sso", "AWS_ENDPOINT_URL_SSO", "portal.sso", "portal.sso-fips"};
    case AwsService::kSsoOidc:
      return {"endpoint_url_sso_oidc", "AWS_ENDPOINT_URL_SSO_OIDC", "oidc", "oidc-fips"};
    case AwsService::kSignin:
      return {"endpoint_url_signin", "AWS_ENDPOINT_URL_SIGNIN", "signin", "signin-fips"};
  }
  return {};
}

/// The sign-in service has the region in front, and names of its own in two partitions.
std::string signin_host(const Partition& partition, std::string_view region) {
  const std::string front(region);
  if (partition.region_prefix == "cn-") return front + ".signin.amazonaws.cn";
  if (partition.region_prefix == "us-gov-") return front + ".signin.amazonaws-us-gov.com";
  if (partition.region_prefix.empty()) return front + ".signin.aws.amazon.com";
  return "signin." + front + "." + std::string(partition.suffix);
}

/// STS is called at the URL itself, so a path keeps the slash at its end, as in botocore; the others go on from it.
std::string own_url(AwsService service, std::string_view url) {
  std::string_view bare = url;
  while (bare.ends_with('/')) bare.remove_suffix(1);
  const size_t scheme = bare.find("://");
  const bool has_path = scheme != bare.npos && bare.find('/', scheme + 3) != bare.npos;
  return std::string(service == AwsService::kSts && has_path ? url : bare);
}

}  // namespace

Result<AwsEndpoint> aws_endpoint(AwsService service, std::string_view region, const Settings& settings) {
  const ServiceTraits traits = traits_of(service);
  const bool is_global = region.empty() || region == "aws-global";
  if (is_global && service != AwsService::kSts) {
    return Error{"no region for the " + std::string(traits.name) +
                 " service of AWS; set region in the profile, or AWS_REGION"};
  }
  if (!is_global && !is_region_name(region)) {
    return Error{"the region " + quoted(region) +
                 " is not the name of a region; correct AWS_REGION or the profile's region"};
  }
  const std::string signing_region(is_global ? "us-east-1" : region);
  if (const std::string_view own = settings[traits.setting]; !own.empty()) {
    std::string url = own_url(service, own);
    const auto parts = parse_url(url);
    if (parts && parts->path.find('?') == std::string::npos) return AwsEndpoint{std::move(url), signing_region};
    return Error{std::string(traits.variable) + " (or endpoint_url) is \"" + shown_url(url, kShownPath) +
                 "\", which is " + (parts ? "a URL with a query" : "no http or https URL") + "; correct it"};
  }
  const bool fips = settings.is("use_fips_endpoint");
  const bool dual_stack = settings.is("use_dualstack_endpoint");
  if (is_global && !fips && !dual_stack) return AwsEndpoint{"https://sts.amazonaws.com", signing_region};

  const Partition& partition = partition_of(signing_region);
  if (dual_stack && partition.dual_stack_suffix.empty()) {
    return Error{std::string(fips ? "FIPS and DualStack are enabled, but this partition does not support one or both"
                                  : "DualStack is enabled but this partition does not support DualStack") +
                 " (" + signing_region + "); unset AWS_USE_DUALSTACK_ENDPOINT (use_dualstack_endpoint)"};
  }
  const std::string_view suffix = dual_stack ? partition.dual_stack_suffix : partition.suffix;
  if (service == AwsService::kSignin && !fips && !dual_stack) {
    return AwsEndpoint{"https://" + signin_host(partition, signing_region), signing_region};
  }
  // GovCloud's ordinary endpoints are the FIPS ones.
  const bool says_fips =
      fips && !(partition.region_prefix == "us-gov-" && !dual_stack && service != AwsService::kSignin);
  return AwsEndpoint{"https://" + std::string(says_fips ? traits.fips_name : traits.name) + "." + signing_region + "." +
                         std::string(suffix),
                     signing_region};
}

}  // namespace pqmint
