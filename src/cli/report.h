// SPDX-License-Identifier: PostgreSQL
// What `pqmint check` found, in words for people.
#pragma once

#include <json/json.h>

#include <string>

namespace pqmint {

/// The object that `check --json` prints, as lines. `said_elsewhere` is the error that goes to stderr, and is not said
/// twice.
std::string report_for_people(const Json::Value& report, const std::string& said_elsewhere, bool in_colour);

/// Whether who reads there sees colours: a terminal, unless NO_COLOR or TERM=dumb says otherwise.
bool shows_colours(int fd);

}  // namespace pqmint
