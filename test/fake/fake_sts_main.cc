// SPDX-License-Identifier: PostgreSQL
// For the benchmark: fake_sts CERTIFICATE KEY DELAY-MS... prints a port for each delay and serves AssumeRole there,
// over TLS, until stdin ends. The keys are those that the test server knows.

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <memory>
#include <string>
#include <vector>

#include "http_server.h"

namespace {

using pqmint::test::Heard;
using pqmint::test::HttpServer;
using pqmint::test::Reply;

constexpr int kLife = 3600;  // seconds

std::string assumed_role() {
  const time_t then = time(nullptr) + kLife;
  tm parts = {};
  char expiration[32];
  strftime(expiration, sizeof expiration, "%Y-%m-%dT%H:%M:%SZ", gmtime_r(&then, &parts));
  return std::string(
             "<AssumeRoleResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\"><AssumeRoleResult><Credentials>"
             "<AccessKeyId>ASIAIOSFODNN7EXAMPLE</AccessKeyId>"
             "<SecretAccessKey>tempSecretTempSecretTempSecretTempSecret</SecretAccessKey>"
             "<SessionToken>FwoGZXIvYXdzEPT//////////wEaDO+token/with=chars==</SessionToken><Expiration>") +
         expiration + "</Expiration></Credentials></AssumeRoleResult></AssumeRoleResponse>";
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 4) return 2;
  std::vector<std::unique_ptr<HttpServer>> servers;
  for (int i = 3; i < argc; ++i) {
    const std::chrono::milliseconds delay(std::atoi(argv[i]));
    const auto answer = [delay](const Heard&) {
      Reply reply;
      reply.body = assumed_role();
      reply.headers = {{"Content-Type", "text/xml"}};
      reply.delay = delay;
      return reply;
    };
    servers.push_back(std::make_unique<HttpServer>(answer, "127.0.0.1", 0, argv[1], argv[2]));
    std::printf("%d\n", servers.back()->port());
  }
  std::fflush(stdout);
  while (std::getchar() != EOF) {
  }
}
