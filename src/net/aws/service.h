// SPDX-License-Identifier: PostgreSQL
// What SSO, OIDC and sign-in have in common: unsigned requests with JSON, errors in JSON, and a user who may have to
// log in again.
#pragma once

#include <json/value.h>

#include <initializer_list>
#include <string>
#include <string_view>

#include "base/secret.h"
#include "net/http.h"
#include "net/source.h"

namespace pqmint {

/// A request to a service of AWS: by the user's proxy, with the user's authorities.
HttpRequest aws_request(const Settings& settings, std::string url);
HttpRequest aws_post(const Settings& settings, std::string url, const Secret& json);

/// Why a call brought nothing, without asker and remedy: "An error occurred (CODE) when calling the OPERATION
/// operation: MESSAGE" as botocore says it, or what came in place of an answer. `secrets` are what the request carried.
std::string why_refused(const HttpResponse& response, std::string_view operation,
                        std::initializer_list<std::string_view> secrets);
std::string why_unreachable(const HttpOutcome& outcome, const std::string& url);

/// `profile "app": `, the beginning of an error; empty if no profile asked.
std::string asker(const Settings& settings);

/// A command of the CLI for this profile, to be pasted into a shell: "aws login --profile app".
std::string cli_command(const char* command, const Settings& settings);

}  // namespace pqmint
