// SPDX-License-Identifier: PostgreSQL
// The words that pqmint-tool knows. Each takes what stands behind the word and returns an exit status: 0 done, 1 could
// not, 2 usage. Answers go to stdout, errors to stderr as one message that begins with "pqmint: ".
#pragma once

#include <string_view>

int token_command(int argc, char** argv);
int check_command(int argc, char** argv);
int doctor_command(int argc, char** argv);

/// Says `sentence` on stderr and returns 1.
int complain(std::string_view sentence);

/// Complains of the arguments and returns 2.
int wrong_usage(std::string_view sentence);
