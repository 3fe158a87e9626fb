// SPDX-License-Identifier: PostgreSQL
// For the benchmark: fake_sts CERTIFICATE KEY DELAY-MS... prints a port for each delay and serves AssumeRole there,
// over TLS, until stdin ends. The keys are those that the test server knows.

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <string>
#include <vector>

#include "fake_aws.h"

namespace {

using pqmint::test::Heard;
using pqmint::test::HttpServer;
using pqmint::test::Reply;

}  // namespace

int main(int argc, char** argv) {
  if (argc < 4) return 2;
  std::vector<std::unique_ptr<HttpServer>> servers;
  for (int i = 3; i < argc; ++i) {
    const std::chrono::milliseconds delay(std::atoi(argv[i]));
    const auto answer = [delay](const Heard&) {
      Reply reply = pqmint::test::assumed_role();
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
