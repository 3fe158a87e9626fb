// SPDX-License-Identifier: PostgreSQL
// HTTP by libcurl: a request and a time limit come in; the answer, or how it failed, goes out.

#include "net/http.h"

#include <arpa/inet.h>
#include <curl/curl.h>
#include <errno.h>
#include <openssl/evp.h>
#include <openssl/rand.h>
#include <openssl/ssl.h>
#include <openssl/x509_vfy.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <memory>
#include <new>

#include "base/log.h"
#include "base/shown.h"
#include "base/text.h"
#include "net/url.h"

namespace pqmint {
namespace {

using std::chrono::milliseconds;

/// An answer that took this long says little about the time it was written (spec/aws.md 4.13).
constexpr int64_t kMaxRoundTrip = 15 * 60;  // s

/// A Date has whole seconds, and a round trip costs its share: what is below this is noise, not skew.
constexpr int64_t kSkewNoise = 3;  // s

struct FreeList {
  void operator()(curl_slist* list) const {
    for (curl_slist* item = list; item != nullptr; item = item->next) explicit_bzero(item->data, strlen(item->data));
    curl_slist_free_all(list);
  }
};
using List = std::unique_ptr<curl_slist, FreeList>;

struct FreeHandle {
  void operator()(CURL* handle) const { curl_easy_cleanup(handle); }
};
using Handle = std::unique_ptr<CURL, FreeHandle>;

/// libcurl's global state is never torn down: the host program may use libcurl too. Setting it up is thread-safe since
/// 7.84 and counts, so a second thread at the first moment does no harm; a static's guard would be a lock that a fork
/// could leave taken.
bool is_curl_ready() {
  constinit static std::atomic<bool> ready = false;
  if (!ready.load(std::memory_order_acquire)) ready.store(curl_global_init(CURL_GLOBAL_DEFAULT) == CURLE_OK);
  return ready.load(std::memory_order_acquire);
}

/// Keeps a SIGPIPE, which an older libcurl's TLS can raise, from the host: blocked in this thread for a while, and
/// taken away if it came.
class WithoutSigpipe {
 public:
  WithoutSigpipe() {
    sigset_t pending;
    sigpending(&pending);
    was_pending_ = sigismember(&pending, SIGPIPE) == 1;
    sigset_t pipe = only_pipe();
    pthread_sigmask(SIG_BLOCK, &pipe, &before_);
  }
  ~WithoutSigpipe() {
    const int error = errno;
    const sigset_t pipe = only_pipe();
    const timespec now = {};
    while (!was_pending_ && sigtimedwait(&pipe, nullptr, &now) == SIGPIPE) {
    }
    pthread_sigmask(SIG_SETMASK, &before_, nullptr);
    errno = error;
  }
  WithoutSigpipe(const WithoutSigpipe&) = delete;
  WithoutSigpipe& operator=(const WithoutSigpipe&) = delete;

 private:
  static sigset_t only_pipe() {
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGPIPE);
    return set;
  }
  bool was_pending_ = false;
  sigset_t before_;
};

/// What libcurl works with while it lasts: what it reads, and what its callbacks write. Outlives the handle.
struct Exchange {
  explicit Exchange(const HttpRequest& asked) : request(asked) {}
  Exchange(const Exchange&) = delete;
  Exchange& operator=(const Exchange&) = delete;

  const HttpRequest& request;
  List headers, dial;
  HttpResponse response;
  Secret body;
  char why[CURL_ERROR_SIZE] = "";
  bool too_large = false;
  bool refused = false;
  int shortage = 0;  // what this process had none of, as errno says it
};

size_t on_header(char* data, size_t, size_t size, void* user) try {
  auto& exchange = *static_cast<Exchange*>(user);
  const std::string_view line = trim({data, size});
  // After "100 Continue" comes the answer proper, with headers of its own.
  if (line.starts_with("HTTP/")) exchange.response.headers.clear();
  const size_t colon = line.find(':');
  if (colon == line.npos) return size;
  exchange.response.headers.emplace_back(lower(line.substr(0, colon)), trim(line.substr(colon + 1)));
  return size;
} catch (const std::bad_alloc&) {
  static_cast<Exchange*>(user)->shortage = ENOMEM;
  return 0;
}

size_t on_body(char* data, size_t, size_t size, void* user) try {
  auto& exchange = *static_cast<Exchange*>(user);
  if (exchange.body.size() + size > kMaxHttpBody) {
    exchange.too_large = true;
    return 0;
  }
  exchange.body.append({data, size});
  // libcurl's own buffer, which it frees as it is. It has done with these bytes: they were ours to take.
  explicit_bzero(data, size);
  return size;
} catch (const std::bad_alloc&) {
  static_cast<Exchange*>(user)->shortage = ENOMEM;
  return 0;
}

curl_socket_t open_socket(void* user, curlsocktype, curl_sockaddr* address) {
  auto& exchange = *static_cast<Exchange*>(user);
  if (exchange.request.is_allowed != nullptr && !exchange.request.is_allowed(address->addr)) {
    exchange.refused = true;
    return CURL_SOCKET_BAD;
  }
  // A host that forks and execs while we wait must not hand the socket on.
  const int fd = socket(address->family, address->socktype | SOCK_CLOEXEC, address->protocol);
  const bool is_short = errno == EMFILE || errno == ENFILE || errno == ENOMEM || errno == ENOBUFS;
  if (fd < 0 && is_short) exchange.shortage = errno;
  return fd;
}

/// In place of the chain's check: the leaf's SHA-1 is what it must be.
int verify_thumbprint(X509_STORE_CTX* store, void* user) {
  const auto& request = *static_cast<const HttpRequest*>(user);
  const X509* leaf = X509_STORE_CTX_get0_cert(store);
  unsigned char digest[EVP_MAX_MD_SIZE];
  unsigned size = 0;
  std::string hex;
  if (leaf != nullptr && X509_digest(leaf, EVP_sha1(), digest, &size) == 1) {
    for (unsigned i = 0; i < size; ++i) {
      for (const int nibble : {digest[i] >> 4, digest[i] & 15}) hex += "0123456789abcdef"[nibble];
    }
  }
  if (strcasecmp(hex.c_str(), request.pinned_thumbprint.c_str()) == 0) return 1;
  X509_STORE_CTX_set_error(store, X509_V_ERR_CERT_REJECTED);
  return 0;
}

CURLcode set_up_tls(CURL* handle, void* context, void* user) {
  const bool is_pinned = !static_cast<const HttpRequest*>(user)->pinned_thumbprint.empty();
  // Only OpenSSL's context is what it is taken for here.
  const curl_tlssessioninfo* session = nullptr;
  curl_easy_getinfo(handle, CURLINFO_TLS_SSL_PTR, &session);
  if (session == nullptr || session->backend != CURLSSLBACKEND_OPENSSL) {
    return is_pinned ? CURLE_SSL_CERTPROBLEM : CURLE_OK;
  }
  auto* tls = static_cast<SSL_CTX*>(context);
  SSL_CTX_set_options(tls, SSL_OP_CLEANSE_PLAINTEXT);  // else an answer stays behind in OpenSSL's buffer
  if (is_pinned) SSL_CTX_set_cert_verify_callback(tls, verify_thumbprint, user);
  return CURLE_OK;
}

bool is_address(const std::string& host) {
  unsigned char room[sizeof(in6_addr)];
  return inet_pton(AF_INET, host.c_str(), room) == 1 || inet_pton(AF_INET6, host.c_str(), room) == 1;
}

HttpOutcome failed(HttpFault fault, std::string why) {
  HttpOutcome outcome;
  outcome.fault = fault;
  outcome.why = std::move(why);
  return outcome;
}

HttpFault fault_of(CURLcode code) {
  switch (code) {
    case CURLE_COULDNT_RESOLVE_PROXY:
    case CURLE_COULDNT_RESOLVE_HOST:
    case CURLE_COULDNT_CONNECT:
      return HttpFault::kConnect;
    case CURLE_OPERATION_TIMEDOUT:
      return HttpFault::kTimeout;
    case CURLE_SSL_CONNECT_ERROR:
    case CURLE_PEER_FAILED_VERIFICATION:
    case CURLE_SSL_CACERT_BADFILE:
    case CURLE_SSL_CERTPROBLEM:
    case CURLE_SSL_ISSUER_ERROR:
      return HttpFault::kTls;
    case CURLE_URL_MALFORMAT:
    case CURLE_BAD_FUNCTION_ARGUMENT:
      return HttpFault::kNotSent;
    default:
      return HttpFault::kBroken;
  }
}

/// False: memory is out.
bool append(List& list, const char* line) {
  curl_slist* longer = curl_slist_append(list.get(), line);
  if (longer == nullptr) return false;
  static_cast<void>(list.release());
  list.reset(longer);
  return true;
}

/// What is sent in headers, and where to dial. False: memory is out.
bool make_lists(Exchange& state) {
  const HttpRequest& request = state.request;
  bool has_type = false;
  for (const auto& [name, value] : request.headers) {
    Secret line(name);
    if (!append(state.headers, line.append(": ").append(value.reveal()).c_str())) return false;
    has_type = has_type || name == "Content-Type";
  }
  // What libcurl would add by itself is not part of any of our requests.
  return append(state.headers, "Expect:") && (has_type || append(state.headers, "Content-Type:")) &&
         (request.dial.empty() || append(state.dial, ("::" + request.dial).c_str()));
}

/// Tells the handle all that it must know; the first thing that it cannot do, if there is one.
CURLcode prepare(CURL* handle, Exchange& state, milliseconds left) {
  const HttpRequest& request = state.request;
  CURLcode obstacle = CURLE_OK;
  const auto set = [&](CURLoption option, auto value) {
    if (obstacle == CURLE_OK) obstacle = curl_easy_setopt(handle, option, value);
  };
  set(CURLOPT_URL, request.url.c_str());
  set(CURLOPT_PATH_AS_IS, 1L);
  set(CURLOPT_CUSTOMREQUEST, request.method.c_str());
  if (request.body) {
    set(CURLOPT_POSTFIELDS, request.body->c_str());
    set(CURLOPT_POSTFIELDSIZE_LARGE, static_cast<curl_off_t>(request.body->size()));
  }
  set(CURLOPT_HTTPHEADER, state.headers.get());
  set(CURLOPT_USERAGENT, "pqmint");
  set(CURLOPT_HTTP_VERSION, static_cast<long>(CURL_HTTP_VERSION_1_1));
  set(CURLOPT_PROTOCOLS_STR, "http,https");
  set(CURLOPT_FOLLOWLOCATION, 0L);
  set(CURLOPT_FORBID_REUSE, 1L);
  if (!request.may_use_proxy) set(CURLOPT_PROXY, "");

  set(CURLOPT_NOSIGNAL, 1L);  // the host's SIGALRM is its own
  // A name server that is silent is asked in a thread, which libcurl would otherwise wait for after our time is over.
  set(CURLOPT_QUICK_EXIT, 1L);
  set(CURLOPT_TIMEOUT_MS, static_cast<long>(left.count()));
  const milliseconds connect = request.connect_timeout.count() == 0 ? left : std::min(left, request.connect_timeout);
  set(CURLOPT_CONNECTTIMEOUT_MS, static_cast<long>(connect.count()));
  set(CURLOPT_OPENSOCKETFUNCTION, open_socket);
  set(CURLOPT_OPENSOCKETDATA, &state);
  if (state.dial) set(CURLOPT_CONNECT_TO, state.dial.get());

  if (!request.ca_bundle.empty()) set(CURLOPT_CAINFO, request.ca_bundle.c_str());
  if (!request.ca_pem.empty()) {
    curl_blob blob = {const_cast<char*>(request.ca_pem.data()), request.ca_pem.size(), CURL_BLOB_COPY};
    set(CURLOPT_CAINFO_BLOB, &blob);
    set(CURLOPT_CAPATH, static_cast<char*>(nullptr));
  }
  CURLcode context = curl_easy_setopt(handle, CURLOPT_SSL_CTX_FUNCTION, set_up_tls);
  if (context == CURLE_OK) {
    context = curl_easy_setopt(handle, CURLOPT_SSL_CTX_DATA, const_cast<HttpRequest*>(&request));
  }
  // To wipe OpenSSL's buffers is a wish; to look for the one certificate is not. It has any name.
  if (!request.pinned_thumbprint.empty()) {
    if (obstacle == CURLE_OK) obstacle = context;
    set(CURLOPT_SSL_VERIFYHOST, 0L);
  }

  set(CURLOPT_ERRORBUFFER, state.why);
  set(CURLOPT_HEADERFUNCTION, on_header);
  set(CURLOPT_HEADERDATA, &state);
  set(CURLOPT_WRITEFUNCTION, on_body);
  set(CURLOPT_WRITEDATA, &state);
  return obstacle;
}

/// How an exchange ended that brought no answer.
HttpOutcome failure_of(CURLcode code, const Exchange& state, const UrlParts& parts) {
  const std::string where = parts.host + " port " + parts.port;
  if (state.refused) return failed(HttpFault::kRefusedAddress, where + " has an address that is not allowed");
  if (state.too_large) return failed(HttpFault::kTooLarge, where + " answered with more than 1 MiB");
  if (state.shortage != 0) {
    char reason[128];
    return failed(HttpFault::kShortage,
                  "cannot ask " + where + ": " + strerror_r(state.shortage, reason, sizeof reason));
  }
  // The address of a number is looked up in vain only where there is no memory for it.
  const bool is_lost = code == CURLE_COULDNT_RESOLVE_HOST && is_address(parts.host);
  if (code == CURLE_OUT_OF_MEMORY || is_lost) return failed(HttpFault::kShortage, "no memory to ask " + where);
  if (code == CURLE_OPERATION_TIMEDOUT) return failed(HttpFault::kTimeout, where + " did not answer in time");

  std::string text = shown(state.why[0] != '\0' ? state.why : curl_easy_strerror(code), 200);
  // libcurl repeats the variable as it stands, with a password in it.
  if (text.starts_with("Unsupported proxy") || text.find('@') != text.npos) {
    text = "HTTPS_PROXY (or all_proxy, http_proxy) does not name a proxy that libcurl can use";
  }
  const HttpFault fault = fault_of(code);
  return failed(fault, fault == HttpFault::kBroken ? where + " broke off the answer (" + text + ")" : std::move(text));
}

bool is_worth_another_try(const HttpOutcome& outcome, bool (*is_transient)(const HttpResponse&)) {
  switch (outcome.fault) {
    case HttpFault::kConnect:
    case HttpFault::kTimeout:
    case HttpFault::kBroken:
    case HttpFault::kShortage:
      return true;
    case HttpFault::kNone:
      break;
    default:
      return false;
  }
  const long status = outcome.response.status;
  return status == 429 || status == 500 || status == 502 || status == 503 || status == 504 ||
         (is_transient != nullptr && is_transient(outcome.response));
}

/// A number from 0 to 1.
double random_fraction() {
  unsigned char byte = 128;
  RAND_bytes(&byte, 1);
  return byte / 255.0;
}

void learn_time(const HttpResponse& response, int64_t sent, int64_t received, Clock& clock) {
  const std::string date(response.header("date"));
  // A cache's answer carries the time of another day.
  if (date.empty() || !response.header("age").empty() || received - sent > kMaxRoundTrip) return;
  const time_t theirs = curl_getdate(date.c_str(), nullptr);
  if (theirs <= 0) return;
  const int64_t skew = theirs - (sent + received) / 2;
  clock.learn(skew > kSkewNoise || skew < -kSkewNoise ? skew : 0);
}

}  // namespace

std::string_view HttpResponse::header(std::string_view name) const {
  const auto found = std::find_if(headers.rbegin(), headers.rend(), [&](const auto& h) { return h.first == name; });
  return found == headers.rend() ? std::string_view() : found->second;
}

std::string HttpResponse::description() const {
  // Of the type only what may be one (RFC 9110, 8.3.1 and 5.6.2): anything else there is the service's secret or ours.
  constexpr std::string_view kToken = "!#$%&'*+-.^_`|~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz/";
  const std::string_view all = header("content-type");
  const std::string_view type = all.substr(0, all.find_first_not_of(kToken));
  return "status " + std::to_string(status) + ", " + (type.empty() ? "no content type" : shown(type, 60)) + ", " +
         std::to_string(body.size()) + " bytes";
}

HttpOutcome exchange(const HttpRequest& request, const Deadline& deadline, Clock& clock) {
  const auto parts = parse_url(request.url);
  if (!parts) {
    return failed(HttpFault::kNotSent, "not a usable http or https URL: " + shown_url(request.url, kShownPath));
  }
  for (const auto& [name, value] : request.headers) {
    // What comes from a variable or a file must not become a header of its own.
    if (value.reveal().find_first_of(std::string_view("\r\n\0", 3)) != std::string_view::npos) {
      return failed(HttpFault::kNotSent, "what would be sent as " + name + " holds a line end");
    }
  }
  const std::string where = parts->host + " port " + parts->port;
  if (!is_curl_ready()) return failed(HttpFault::kNotSent, "libcurl could not be set up");
  const milliseconds left = deadline.left();
  if (left.count() == 0) return failed(HttpFault::kTimeout, "no time was left to ask " + where);

  Exchange state(request);
  const Handle handle(curl_easy_init());
  const CURLcode obstacle = handle && make_lists(state) ? prepare(handle.get(), state, left) : CURLE_OUT_OF_MEMORY;
  if (obstacle == CURLE_OUT_OF_MEMORY) return failed(HttpFault::kShortage, "memory is out");
  if (obstacle != CURLE_OK) return failed(HttpFault::kNotSent, "libcurl is too old, or was built without HTTPS");

  LogLine line(LogLevel::kDebug, "http");
  line.with("method", request.method.c_str()).with("server", where.c_str());
  const int64_t sent = time(nullptr);
  CURLcode code = CURLE_OK;
  {
    const WithoutSigpipe quiet;
    code = curl_easy_perform(handle.get());
  }
  line.took();
  if (code != CURLE_OK) line.with("result", curl_easy_strerror(code));
  // A name with one address that is not allowed is not asked at any other.
  if (code != CURLE_OK || state.refused) return failure_of(code, state, *parts);
  HttpOutcome outcome;
  curl_easy_getinfo(handle.get(), CURLINFO_RESPONSE_CODE, &state.response.status);
  line.with("status", state.response.status).with("bytes", static_cast<int64_t>(state.body.size()));
  outcome.response = std::move(state.response);
  outcome.response.body = std::move(state.body);
  learn_time(outcome.response, sent, time(nullptr), clock);
  return outcome;
}

HttpOutcome exchange_with_retries(const std::function<HttpRequest()>& make, int attempts, const Deadline& deadline,
                                  Clock& clock, bool (*is_transient)(const HttpResponse&)) {
  for (int attempt = 1;; ++attempt) {
    HttpRequest request = make();
    // An address that swallows packets must leave time for another try.
    const int left = attempts - attempt + 1;
    if (request.connect_timeout.count() == 0) request.connect_timeout = deadline.left() / left;
    HttpOutcome outcome = exchange(request, deadline, clock);
    const double seconds = random_fraction() * std::min(1 << (attempt - 1), 20);
    const milliseconds pause(static_cast<int64_t>(1000 * seconds));
    if (attempt >= attempts || pause >= deadline.left() || !is_worth_another_try(outcome, is_transient)) return outcome;
    poll(nullptr, 0, static_cast<int>(pause.count()));
  }
}

int attempts_of(const Settings& settings) {
  return count_in(settings["max_attempts"], 3, 10);
}

}  // namespace pqmint
