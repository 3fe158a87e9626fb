// SPDX-License-Identifier: PostgreSQL
// The type of secrets: what it refuses to do, and what is left of it.

#include "base/secret.h"

#include <gtest/gtest.h>

#include <memory>
#include <sstream>
#include <type_traits>

#include "base/shown.h"

namespace pqmint {
namespace {

template <typename T>
concept Printable = requires(std::ostream& out, const T& value) {
  out << value;
};

TEST(SecretType, IsNotPrintedConvertedOrCopiedByAccident) {
  EXPECT_FALSE(Printable<Secret>);
  EXPECT_FALSE((std::is_convertible_v<Secret, std::string_view>));
  EXPECT_FALSE((std::is_convertible_v<Secret, std::string>));
  EXPECT_FALSE((std::is_convertible_v<const char*, Secret>)) << "nor made by accident";
  EXPECT_FALSE(std::is_copy_constructible_v<Secret>);
  EXPECT_FALSE(std::is_copy_assignable_v<Secret>);
  EXPECT_FALSE((std::equality_comparable<Secret>))
      << "a comparison that stops at the first difference tells by its time";
}

/// In the room of a Secret that has gone, moved away or been overwritten; a short one lies in the object itself.
TEST(SecretType, LeavesNothingInItsRoom) {
  constexpr std::string_view kShort = "s3cret-short";
  alignas(Secret) unsigned char room[sizeof(Secret)];
  const auto holds = [&] {
    return std::string_view(reinterpret_cast<const char*>(room), sizeof room).find(kShort) != std::string_view::npos;
  };
  auto* secret = new (room) Secret(kShort);
  ASSERT_TRUE(holds());
  const Secret moved = std::move(*secret);
  EXPECT_FALSE(holds());
  EXPECT_EQ(moved.reveal(), kShort);
  *secret = Secret(kShort);
  ASSERT_TRUE(holds());
  *secret = Secret("x");
  EXPECT_FALSE(holds());
  *secret = Secret(kShort);
  std::destroy_at(secret);
  EXPECT_FALSE(holds());
}

TEST(Shown, AUrlWithoutWhoMayUseIt) {
  EXPECT_EQ(shown_url("https://h/p?q", 80), "https://h/p?q");
  EXPECT_EQ(shown_url("https://user:s3cret@h:1/p", 80), "https://*@h:1/p");
  EXPECT_EQ(shown_url("user:s3cret@h", 80), "*@h");
  EXPECT_EQ(shown_url("https://u:s3#cr/e?t@h", 80), "https://*@h") << "what is no URL has its password too";
  EXPECT_EQ(shown_url("x@https://y", 80), "*@https://y");
  EXPECT_EQ(shown_url("https://h/" + std::string(100, 'x'), 20).size(), 20u);
}

}  // namespace
}  // namespace pqmint
