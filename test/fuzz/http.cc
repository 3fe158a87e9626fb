// SPDX-License-Identifier: PostgreSQL
// HTTP answers, as they come from the network, through libcurl. Whatever comes, one of answer and fault goes out,
// within the size limit; nothing is followed.

#include "net/http.h"

#include <strings.h>

#include "network.h"
#include "promise.h"

namespace pqmint::fuzz {

void http(std::string_view input) {
  // A second one lies ready for whoever follows a redirect.
  const Answers answers({std::string(input), "HTTP/1.1 200 OK\r\nX-Second: followed\r\n\r\n"});
  HttpRequest request;
  request.url = "http://127.0.0.1:1/a?b=c";
  request.add_header("Authorization", "a-secret-of-the-request");
  Clock clock;
  const HttpOutcome outcome = exchange(request, Deadline::in(std::chrono::milliseconds(2000)), clock);
  if (!outcome) {
    promise_sentence(outcome.why);
    PROMISE(!has(outcome.why, "a-secret-of-the-request"), outcome.why);
    return;
  }
  const HttpResponse& response = outcome.response;
  // Nothing is taken for HTTP/0.9, which has no status and may be anything.
  PROMISE(input.size() > 5 && strncasecmp(input.data(), "HTTP/", 5) == 0, input);
  PROMISE(response.body.size() <= kMaxHttpBody && response.body.size() <= input.size(), input);
  PROMISE(response.header("x-second") != "followed" || has(input, "followed"), input);
  size_t size = 0;
  for (const auto& [name, value] : response.headers) {
    size += name.size() + value.size();
    PROMISE(std::ranges::none_of(name, [](char c) { return c >= 'A' && c <= 'Z'; }), name);
    PROMISE(response.header(name).size() <= input.size(), name);
    PROMISE(!has(name, "\n") && !has(value, "\n"), name);
  }
  PROMISE(size <= input.size(), input);
  promise_sentence(response.description());
  PROMISE(clock.learned || clock.skew == 0, input);
}

}  // namespace pqmint::fuzz
