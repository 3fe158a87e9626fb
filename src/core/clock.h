// SPDX-License-Identifier: PostgreSQL
// The time that servers go by: this machine's, corrected by what a server's Date has told (spec/aws.md 4.13).
#pragma once

#include <cstdint>
#include <optional>

namespace pqmint {

/// Seconds since the epoch, as the servers see it. Thread-safe.
int64_t server_now();

/// How many seconds the servers are ahead of this machine; nothing as long as none has told. Thread-safe.
std::optional<int64_t> known_skew();

/// Whether that is allowed for: unless AWS_DISABLE_CLOCK_SKEW_CORRECTION is true. Thread-safe.
bool is_skew_corrected();

/// Corrects this process's clock from now on. Thread-safe.
void learn_skew(int64_t seconds);

}  // namespace pqmint
