// SPDX-License-Identifier: PostgreSQL
// The type of secrets: what it refuses to do, and what is left of it.

#include "base/secret.h"

#include <gtest/gtest.h>
#include <malloc.h>
#include <stdlib.h>

#include <memory>
#include <new>
#include <sstream>
#include <type_traits>

#include "base/shown.h"

namespace {

constexpr std::string_view kPart = "s3cret-part-of-a-longer-one;";
int g_unwiped = 0;

[[maybe_unused]] void give_back(void* block) {
  const std::string_view bytes(static_cast<const char*>(block), block == nullptr ? 0 : malloc_usable_size(block));
  g_unwiped += bytes.find(kPart) != bytes.npos;
  free(block);
}

}  // namespace

// Every block of this program is looked into when it is given back. (ThreadSanitizer has allocators of its own.)
#if defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define PQMINT_TEST_SEES_NO_BLOCKS
#endif
#endif
#ifndef PQMINT_TEST_SEES_NO_BLOCKS
void* operator new(size_t size) {
  if (void* block = malloc(size)) return block;
  throw std::bad_alloc();
}
void operator delete(void* block) noexcept {
  give_back(block);
}
void operator delete(void* block, size_t) noexcept {
  give_back(block);
}
#endif

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

/// How many blocks were given back with the part in them.
template <typename Text>
[[maybe_unused]] int left_behind_by_growing() {
  Text text;
  g_unwiped = 0;
  for (int i = 0; i < 500; ++i) text.append(kPart);
  const int count = g_unwiped;
  EXPECT_EQ(text.size(), 500 * kPart.size());
  return count;
}

TEST(SecretType, GrowsWithoutLeavingAnythingBehind) {
#ifndef PQMINT_TEST_SEES_NO_BLOCKS
  EXPECT_EQ(left_behind_by_growing<Secret>(), 0);
  EXPECT_GT(left_behind_by_growing<std::string>(), 3) << "it would be seen";
#endif
  Secret secret;
  std::string whole;
  for (int i = 0; i < 100; ++i) {
    whole += std::to_string(i);
    EXPECT_EQ(secret.append(std::to_string(i)).reveal(), whole);
  }
  secret.reserve(1);
  EXPECT_EQ(secret.reveal(), whole);

  // What was short lay in the object, where a pointer and two numbers lie then.
  alignas(Secret) unsigned char room[sizeof(Secret)];
  auto* grown = new (room) Secret("0123456789abcde");
  grown->append(kPart);
  const std::string_view bytes(reinterpret_cast<const char*>(room), sizeof room);
  EXPECT_EQ(bytes.find("89"), bytes.npos);
  EXPECT_EQ(bytes.find("cde"), bytes.npos);
  EXPECT_EQ(grown->reveal().substr(0, 15), "0123456789abcde");
  std::destroy_at(grown);
  EXPECT_STREQ(secret.c_str(), whole.c_str());
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
