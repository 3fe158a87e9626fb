// SPDX-License-Identifier: PostgreSQL
// HTTP against a real server on loopback: what comes back, and how each way to fail is told.

#include "net/http.h"

#include <arpa/inet.h>
#include <curl/curl.h>
#include <dlfcn.h>
#include <gtest/gtest.h>
#include <signal.h>

#include <cstdarg>
#include <thread>

#include "http_server.h"
#include "support.h"

namespace {
bool g_hands_out_tls_context = true;
}

// Stands before libcurl's own: one that is built on another TLS library than OpenSSL does not know this option.
// Under a name of its own, with a plain number: what va_start is given must not be an enumeration.
extern "C" CURLcode setopt_of_any_libcurl(CURL* handle, unsigned option, ...) __asm__("curl_easy_setopt");
extern "C" CURLcode setopt_of_any_libcurl(CURL* handle, unsigned option, ...) {
  std::va_list values;
  va_start(values, option);
  void* const value = va_arg(values, void*);
  va_end(values);
  if (option == CURLOPT_SSL_CTX_FUNCTION && !g_hands_out_tls_context) return CURLE_NOT_BUILT_IN;
  static const auto real = reinterpret_cast<CURLcode (*)(CURL*, unsigned, ...)>(dlsym(RTLD_NEXT, "curl_easy_setopt"));
  return real(handle, option, value);
}

namespace pqmint {
namespace {

using std::chrono::milliseconds;
using test::closed_port;
using test::contains;
using test::Heard;
using test::HttpServer;
using test::Reply;
using Manner = Reply::Manner;

class Http : public test::CleanEnvironment {
 protected:
  Http() {
    for (const char* name : {"http_proxy", "https_proxy", "HTTPS_PROXY", "no_proxy", "NO_PROXY", "all_proxy"}) {
      unsetenv(name);
    }
  }

  HttpOutcome send(const HttpRequest& request, milliseconds time = milliseconds(5000)) {
    return exchange(request, Deadline::in(time), clock_);
  }
  HttpOutcome get(const std::string& url, milliseconds time = milliseconds(5000)) {
    HttpRequest request;
    request.url = url;
    return send(request, time);
  }

  Clock clock_;
};

HttpServer::Handler always(Reply reply) {
  return [reply](const Heard&) { return reply; };
}

TEST_F(Http, SendsWhatItWasTold) {
  HttpServer server(always({200, "answer", {{"X-Told", "yes"}}}));
  HttpRequest request;
  request.method = "PUT";
  request.url = server.url() + "/a%2Fb/../c?x=1&y=%20";
  request.add_header("X-Secret", "s3cret");
  request.body = Secret("");
  const HttpOutcome outcome = send(request);
  ASSERT_TRUE(outcome) << outcome.why;
  EXPECT_EQ(outcome.response.status, 200);
  EXPECT_EQ(outcome.response.body.reveal(), "answer");
  EXPECT_EQ(outcome.response.header("x-told"), "yes");
  const Heard heard = server.heard().at(0);
  EXPECT_EQ(heard.method, "PUT");
  EXPECT_EQ(heard.target, "/a%2Fb/../c?x=1&y=%20") << "what is signed must be what is sent";
  EXPECT_EQ(heard.headers.at("x-secret"), "s3cret");
  EXPECT_EQ(heard.headers.at("content-length"), "0");
  EXPECT_EQ(heard.headers.at("host"), "127.0.0.1:" + std::to_string(server.port()));
  EXPECT_FALSE(heard.headers.contains("expect"));
  EXPECT_FALSE(heard.headers.contains("content-type"));
}

TEST_F(Http, APostsBodyIsItsBytes) {
  HttpServer server(always({}));
  HttpRequest request;
  request.method = "POST";
  request.url = server.url();
  request.add_header("Content-Type", "application/x-www-form-urlencoded; charset=utf-8");
  const std::string body = "a=1&b=" + std::string(3000, 'x') + std::string("\0z", 2);
  request.body = Secret(body);
  ASSERT_TRUE(send(request));
  EXPECT_EQ(server.heard().at(0).body, body);
  EXPECT_EQ(server.heard().at(0).headers.at("content-type"), "application/x-www-form-urlencoded; charset=utf-8");
}

TEST_F(Http, AnyStatusIsAnAnswer) {
  HttpServer server(always({404, "<html>", {{"Content-Type", "text/html"}}}));
  const HttpOutcome outcome = get(server.url());
  ASSERT_TRUE(outcome);
  EXPECT_EQ(outcome.response.description(), "status 404, text/html, 6 bytes");
}

TEST_F(Http, InPiecesIsWhole) {
  HttpServer server(always({200, std::string(500, 'x'), {}, Manner::kInPieces}));
  const HttpOutcome outcome = get(server.url());
  ASSERT_TRUE(outcome) << outcome.why;
  EXPECT_EQ(outcome.response.body.size(), 500u);
  HttpServer chunks(always({200, std::string(500, 'x'), {}, Manner::kChunked}));
  EXPECT_EQ(get(chunks.url()).response.body.size(), 500u) << "of one byte each";
  Reply short_length = {200, std::string(500, 'x')};
  short_length.length = 10;
  HttpServer lying(always(short_length));
  EXPECT_EQ(get(lying.url()).response.body.size(), 10u) << "what comes after it is none of the answer";
}

TEST_F(Http, EachFaultHasItsName) {
  const auto fault = [&](Manner manner) {
    HttpServer server(always({200, std::string(500, 'x'), {}, manner}));
    return get(server.url(), milliseconds(400)).fault;
  };
  EXPECT_EQ(fault(Manner::kTruncated), HttpFault::kBroken);
  EXPECT_EQ(fault(Manner::kDropped), HttpFault::kBroken);
  EXPECT_EQ(fault(Manner::kReset), HttpFault::kBroken);
  EXPECT_EQ(fault(Manner::kChunkless), HttpFault::kBroken);
  EXPECT_EQ(fault(Manner::kNotHttp), HttpFault::kBroken);
  EXPECT_EQ(fault(Manner::kSilent), HttpFault::kTimeout);
  EXPECT_EQ(get("http://127.0.0.1:" + std::to_string(closed_port())).fault, HttpFault::kConnect);
  EXPECT_EQ(get("ftp://127.0.0.1/").fault, HttpFault::kNotSent);
  EXPECT_EQ(get("http://u:p@127.0.0.1/").fault, HttpFault::kNotSent);
  EXPECT_EQ(get("http://").fault, HttpFault::kNotSent);
  HttpServer endless(always({200, "", {}, Manner::kEndless}));
  EXPECT_EQ(get(endless.url()).fault, HttpFault::kTooLarge);
}

TEST_F(Http, NoRedirectIsFollowed) {
  HttpServer other(always({}));
  const std::string port = std::to_string(other.port());
  for (const int status : {301, 302, 303, 307, 308}) {
    for (const std::string& location :
         {other.url() + "/", "http://localhost:" + port, "https://127.0.0.1:" + port, "//127.0.0.1:" + port,
          std::string("file:///etc/passwd"), std::string("ftp://127.0.0.1/"), std::string("/again")}) {
      HttpServer server(always({status, "body", {{"Location", location}}}));
      HttpRequest request;
      request.url = server.url();
      request.add_header("Authorization", "s3cret");
      request.add_header("X-aws-ec2-metadata-token", "s3cret");  // which libcurl itself would hand on
      const HttpOutcome outcome = send(request);
      EXPECT_EQ(outcome.response.status, status) << location;
      EXPECT_EQ(outcome.response.body.reveal(), "body") << location;
      EXPECT_EQ(server.count(), 1u) << location;
    }
  }
  EXPECT_EQ(other.count(), 0u);
}

TEST_F(Http, AHeaderWithALineEndIsNotSent) {
  HttpServer server(always({}));
  for (const std::string& value :
       {std::string("a\r\nX-Evil: 1"), std::string("a\nb"), std::string("a\r"), std::string("a\0b", 3)}) {
    HttpRequest request;
    request.url = server.url();
    request.add_header("X-Secret", value);
    const HttpOutcome outcome = send(request);
    EXPECT_EQ(outcome.fault, HttpFault::kNotSent);
    EXPECT_EQ(outcome.why, "what would be sent as X-Secret holds a line end");
  }
  EXPECT_EQ(server.count(), 0u);
}

/// Nobody accepts the call, and once the queue is full the kernel does not answer either: as a firewall that drops what
/// it does not like.
TEST_F(Http, AnAddressThatSwallowsPacketsCostsTheDeadline) {
  const int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address = {};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof address;
  ASSERT_EQ(bind(listener, reinterpret_cast<sockaddr*>(&address), size), 0);
  ASSERT_EQ(listen(listener, 0), 0);
  getsockname(listener, reinterpret_cast<sockaddr*>(&address), &size);
  std::vector<int> callers;
  for (int i = 0; i < 4; ++i) {
    callers.push_back(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    static_cast<void>(connect(callers.back(), reinterpret_cast<sockaddr*>(&address), size));
  }
  const std::string url = "http://127.0.0.1:" + std::to_string(ntohs(address.sin_port));
  const auto before = std::chrono::steady_clock::now();
  const HttpOutcome outcome = get(url, milliseconds(400));
  EXPECT_EQ(outcome.fault, HttpFault::kTimeout) << outcome.why;
  EXPECT_LT(std::chrono::steady_clock::now() - before, milliseconds(20'000));
  for (const int caller : callers) close(caller);
  close(listener);
}

/// What is packed is not unpacked, and what has no end is not kept.
TEST_F(Http, NoAnswerTakesMoreMemoryThanItsLimit) {
  const std::string file = home + "/bomb.gz";
  ASSERT_EQ(std::system(("head -c 50000000 /dev/zero | gzip -9 >" + file).c_str()), 0);
  std::ifstream in(file, std::ios::binary);
  const std::string bomb{std::istreambuf_iterator<char>(in), {}};
  ASSERT_GT(bomb.size(), 10'000u);
  HttpServer packed(always({200, bomb, {{"Content-Encoding", "gzip"}}}));
  HttpServer endless(always({200, "", {}, Manner::kEndless}));
  Reply promise = {200, "{}"};
  promise.length = 4'000'000'000;
  HttpServer promised(always(promise));
  get(packed.url());  // what libcurl and the server need once
  const size_t grown = test::peak_growth([&] {
    const HttpOutcome outcome = get(packed.url());
    EXPECT_EQ(outcome.response.body.reveal(), bomb);
    EXPECT_EQ(get(endless.url()).fault, HttpFault::kTooLarge);
    EXPECT_FALSE(get(promised.url()));
  });
  EXPECT_LT(grown, 30u << 20) << "50 MB were in it";
}

TEST_F(Http, TheAddressThatIsDialledMayBeRefused) {
  HttpServer server(always({}));
  HttpRequest request;
  request.url = "http://localhost:" + std::to_string(server.port());
  request.is_allowed = [](const sockaddr&) { return false; };
  EXPECT_EQ(send(request).fault, HttpFault::kRefusedAddress);
  EXPECT_EQ(server.count(), 0u);
}

TEST_F(Http, AProxyOnlyWhereItMayBeUsed) {
  HttpServer server(always({}));
  HttpServer proxy(always({200, "by proxy"}));
  set("http_proxy", proxy.url());
  HttpRequest request;
  request.url = server.url();
  EXPECT_EQ(send(request).response.body.reveal(), "");
  EXPECT_EQ(proxy.count(), 0u);
  request.may_use_proxy = true;
  EXPECT_EQ(send(request).response.body.reveal(), "by proxy");
  EXPECT_EQ(server.count(), 1u);
  unsetenv("http_proxy");
}

TEST_F(Http, TheClockIsLearnedFromTheDate) {
  HttpServer ahead(always({200, "", {{"Date", "Thu, 15 Jan 2099 12:34:56 GMT"}}}));
  get(ahead.url());
  EXPECT_TRUE(clock_.learned);
  EXPECT_NEAR(static_cast<double>(clock_.now()), 4072163696.0, 3);
  clock_ = {};
  HttpServer right(always({}));
  get(right.url());
  EXPECT_TRUE(clock_.learned);
  EXPECT_EQ(clock_.skew, 0) << "a second or two is noise";
  clock_ = {};
  HttpServer cached(always({200, "", {{"Date", "Thu, 15 Jan 2099 12:34:56 GMT"}, {"Age", "7"}}}));
  get(cached.url());
  EXPECT_FALSE(clock_.learned);
  HttpServer nonsense(always({200, "", {{"Date", "yesterday"}}}));
  get(nonsense.url());
  EXPECT_FALSE(clock_.learned);
}

TEST_F(Http, TriesAgainWhatMayPass) {
  for (const int status : {429, 500, 502, 503, 504}) {
    int count = 0;
    HttpServer server([&](const Heard&) { return Reply{++count < 2 ? status : 200, ""}; });
    const auto make = [&] {
      HttpRequest request;
      request.url = server.url();
      return request;
    };
    const HttpOutcome outcome = exchange_with_retries(make, 3, Deadline::in(milliseconds(8000)), clock_);
    EXPECT_EQ(outcome.response.status, 200) << status;
    EXPECT_EQ(count, 2);
  }
}

// AWS's services are asked as the CLI asks: it does not look at what they wish, but waits a little and tries twice
// more.
TEST_F(Http, AWishToBeLeftAloneHoldsNobodyUp) {
  for (const int status : {429, 500, 503}) {
    for (const char* wish : {"3600", "-1", "soon", "99999999999999999999", "Thu, 01 Jan 2099 00:00:00 GMT"}) {
      HttpServer server(always({status, "", {{"Retry-After", wish}}}));
      const auto make = [&] {
        HttpRequest request;
        request.url = server.url();
        return request;
      };
      const auto before = std::chrono::steady_clock::now();
      EXPECT_EQ(exchange_with_retries(make, 3, Deadline::in(milliseconds(100)), clock_).response.status, status);
      EXPECT_LE(server.count(), 3u) << wish;
      EXPECT_LT(std::chrono::steady_clock::now() - before, milliseconds(10'000)) << wish;
    }
  }
}

TEST_F(Http, NeverMoreThanItsAttemptsOrItsTime) {
  int made = 0;
  HttpServer server(always({503, ""}));
  const auto make = [&] {
    ++made;
    HttpRequest request;
    request.url = server.url();
    return request;
  };
  EXPECT_EQ(exchange_with_retries(make, 2, Deadline::in(milliseconds(8000)), clock_).response.status, 503);
  EXPECT_EQ(made, 2);
  made = 0;
  HttpServer wrong(always({403, ""}));
  const auto once = [&] {
    ++made;
    HttpRequest request;
    request.url = wrong.url();
    return request;
  };
  EXPECT_EQ(exchange_with_retries(once, 3, Deadline::in(milliseconds(8000)), clock_).response.status, 403);
  EXPECT_EQ(made, 1) << "a refusal is final";
  made = 0;
  const auto transient = [](const HttpResponse& response) { return response.status == 403; };
  exchange_with_retries(once, 2, Deadline::in(milliseconds(8000)), clock_, transient);
  EXPECT_EQ(made, 2);
  HttpServer silent(always({200, "", {}, Manner::kSilent}));
  const auto before = std::chrono::steady_clock::now();
  const auto wait = [&] {
    HttpRequest request;
    request.url = silent.url();
    return request;
  };
  EXPECT_EQ(exchange_with_retries(wait, 3, Deadline::in(milliseconds(500)), clock_).fault, HttpFault::kTimeout);
  EXPECT_LT(std::chrono::steady_clock::now() - before, milliseconds(1500));
}

TEST_F(Http, TlsIsVerified) {
  const std::string make =
      "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=localhost -addext "
      "subjectAltName=DNS:localhost -keyout " +
      home + "/key.pem -out " + home + "/cert.pem 2>/dev/null";
  ASSERT_EQ(std::system(make.c_str()), 0);
  HttpServer server(always({200, "safe"}), "127.0.0.1", 0, home + "/cert.pem", home + "/key.pem");
  const std::string port = std::to_string(server.port());
  HttpRequest request;
  request.url = "https://localhost:" + port;
  EXPECT_EQ(send(request).fault, HttpFault::kTls) << "the system does not know this authority";
  request.ca_bundle = home + "/cert.pem";
  const HttpOutcome outcome = send(request);
  ASSERT_TRUE(outcome) << outcome.why;
  EXPECT_EQ(outcome.response.body.reveal(), "safe");
  request.url = "https://127.0.0.1:" + port;
  EXPECT_EQ(send(request).fault, HttpFault::kTls) << "the certificate is another name's";
  request.url = "https://localhost:" + port;
  // What is no bundle is no reason to do without.
  for (const std::string& bundle :
       {home + "/missing.pem", write("empty.pem", ""), write("text.pem", "no certificate"), home + "/key.pem", home}) {
    request.ca_bundle = bundle;
    EXPECT_EQ(send(request).fault, HttpFault::kTls) << bundle;
  }
  EXPECT_EQ(server.count(), 1u);
  // Who cannot look for the one certificate that it must be asks nobody; who need not, does.
  request.ca_bundle = home + "/cert.pem";
  g_hands_out_tls_context = false;
  EXPECT_TRUE(send(request));
  request.pinned_thumbprint = std::string(40, '0');
  EXPECT_EQ(send(request).fault, HttpFault::kNotSent);
  g_hands_out_tls_context = true;
  EXPECT_EQ(send(request).fault, HttpFault::kTls);
  EXPECT_EQ(server.count(), 2u);
}

TEST_F(Http, ACertificateThatHasExpiredIsNone) {
  // Signed by its own authority, for yesterday.
  const std::string make = "cd " + home + R"( && exec 2>/dev/null
    ec='-newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes'
    openssl req -x509 $ec -days 2 -subj /CN=ca -keyout ca.key -out ca.pem
    openssl req $ec -subj /CN=localhost -keyout key.pem -out csr.pem
    echo subjectAltName=DNS:localhost >ext
    mkdir demoCA demoCA/newcerts && touch demoCA/index.txt && echo 01 >demoCA/serial
    openssl ca -batch -config /usr/lib/ssl/openssl.cnf -policy policy_anything -notext -cert ca.pem -keyfile ca.key       -in csr.pem -out cert.pem -extfile ext -startdate 20200101000000Z -enddate 20200102000000Z)";
  ASSERT_EQ(std::system(make.c_str()), 0);
  HttpServer server(always({200, "safe"}), "127.0.0.1", 0, home + "/cert.pem", home + "/key.pem");
  HttpRequest request;
  request.url = "https://localhost:" + std::to_string(server.port());
  request.ca_bundle = home + "/ca.pem";
  const HttpOutcome outcome = send(request);
  EXPECT_EQ(outcome.fault, HttpFault::kTls);
  EXPECT_TRUE(contains(outcome.why, "expired")) << outcome.why;
  EXPECT_EQ(server.count(), 0u);
}

TEST_F(Http, TheHostsSignalsStayItsOwn) {
  HttpServer server(always({}));
  sigset_t before = {}, after = {};
  pthread_sigmask(SIG_SETMASK, nullptr, &before);
  get(server.url());
  pthread_sigmask(SIG_SETMASK, nullptr, &after);
  EXPECT_EQ(memcmp(&before, &after, sizeof before), 0);
  struct sigaction action = {};
  sigaction(SIGALRM, nullptr, &action);
  EXPECT_EQ(action.sa_handler, SIG_DFL);
}

TEST_F(Http, ThreadsDoNotDisturbEachOther) {
  HttpServer server([](const Heard& heard) { return Reply{200, heard.target}; });
  std::atomic<int> good = 0;
  std::vector<std::thread> threads;
  for (int i = 0; i < 16; ++i) {
    threads.emplace_back([&, i] {
      Clock clock;
      HttpRequest request;
      request.url = server.url() + "/" + std::to_string(i);
      const HttpOutcome outcome = exchange(request, Deadline::in(milliseconds(5000)), clock);
      good += outcome.response.body.reveal() == "/" + std::to_string(i);
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(good, 16);
}

TEST(Attempts, FromOneToTen) {
  const auto of = [](const char* text) {
    const pqmint_setting setting = {"max_attempts", text};
    return attempts_of(Settings({&setting, 1}));
  };
  EXPECT_EQ(of("5"), 5);
  EXPECT_EQ(of("1"), 1);
  EXPECT_EQ(of("99"), 10);
  for (const char* text : {"", "0", "-1", "x", "3x"}) EXPECT_EQ(of(text), 3) << text;
}

}  // namespace
}  // namespace pqmint
