// SPDX-License-Identifier: PostgreSQL
// Percent-encoding: every byte there and back, and text that is not encoded.

#include "base/percent.h"

#include <gtest/gtest.h>

#include "base/secret.h"

namespace pqmint {
namespace {

std::string encoded(std::string_view text) {
  std::string out;
  append_percent_encoded(out, text);
  Secret secret;
  append_percent_encoded(secret, text);
  EXPECT_EQ(secret.reveal(), out);
  return out;
}

TEST(Percent, KeepsTheUnreservedAndNothingElse) {
  const std::string unreserved = "AZaz09-_.~";
  EXPECT_EQ(encoded(unreserved), unreserved);
  EXPECT_EQ(encoded(" !'()*+/=@%&"), "%20%21%27%28%29%2A%2B%2F%3D%40%25%26");
  EXPECT_EQ(encoded("gr\xC3\xB6\xC3\x9F"
                    "e"),
            "gr%C3%B6%C3%9Fe");
  EXPECT_EQ(encoded(""), "");
}

TEST(Percent, ComesBack) {
  for (int byte = 1; byte < 256; ++byte) {
    const std::string text(1, static_cast<char>(byte));
    EXPECT_EQ(percent_decode(encoded(text)), text) << byte;
  }
  EXPECT_EQ(percent_decode("a%2fb%2Fc+d"), "a/b/c+d");
  EXPECT_EQ(percent_decode(""), "");
}

TEST(Percent, RefusesWhatIsNotEncoded) {
  for (const char* text : {"%", "%2", "a%", "a%2", "%2x", "%x2", "%%", "%25%", "% 2", "%+2", "%00", "a%00b"}) {
    EXPECT_EQ(percent_decode(text), std::nullopt) << text;
  }
}

}  // namespace
}  // namespace pqmint
