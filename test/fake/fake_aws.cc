// SPDX-License-Identifier: PostgreSQL
#include "fake_aws.h"

#include <ctime>

namespace pqmint::test {

std::string utc(long seconds) {
  const time_t when = time(nullptr) + seconds;
  tm parts = {};
  char out[32];
  return {out, strftime(out, sizeof out, "%Y-%m-%dT%H:%M:%SZ", gmtime_r(&when, &parts))};
}

Reply assumed_role(long life) {
  return {200,
          "<AssumeRoleResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\"><AssumeRoleResult><Credentials>"
          "<AccessKeyId>" +
              std::string(kRoleKeyId) + "</AccessKeyId><SecretAccessKey>" + kRoleSecretKey +
              "</SecretAccessKey><SessionToken>" + kRoleSessionToken + "</SessionToken><Expiration>" + utc(life) +
              "</Expiration></Credentials></AssumeRoleResult></AssumeRoleResponse>",
          {{"Content-Type", "text/xml"}}};
}

std::string keys_document(const std::string& name_of_token, long life) {
  return "{\"Code\":\"Success\",\"Version\":1,\"AccessKeyId\":\"" + std::string(kRoleKeyId) +
         "\",\"SecretAccessKey\":\"" + kRoleSecretKey + "\",\"" + name_of_token + "\":\"" + kRoleSessionToken +
         "\",\"Expiration\":\"" + utc(life) + "\"}";
}

Reply role_credentials(long life) {
  return {200, "{\"roleCredentials\":{\"accessKeyId\":\"" + std::string(kRoleKeyId) + "\",\"secretAccessKey\":\"" +
                   kRoleSecretKey + "\",\"sessionToken\":\"" + kRoleSessionToken +
                   "\",\"expiration\":" + std::to_string((time(nullptr) + life) * 1000) + "}}"};
}

}  // namespace pqmint::test
