// SPDX-License-Identifier: PostgreSQL
#include "base/loader_list.h"

#include <unistd.h>

#include "support.h"

namespace pqmint {
namespace {

std::string without_ours(std::string list, LoaderList kind) {
  take_out_ours(list.data(), kind);
  return list.c_str();
}

TEST(PreloadList, LosesOurLibraryAlone) {
  for (const auto& [list, rest] : std::vector<std::pair<std::string, std::string>>{
           {"", ""},
           {"/usr/lib/libpqmint.so", ""},
           {"libpqmint.so", ""},
           {"/a/libpqmint.so:/b/x.so", "/b/x.so"},
           {"/b/x.so /a/libpqmint.so", "/b/x.so"},
           {"/b/x.so:/a/libpqmint.so y.so", "/b/x.so:y.so"},
           {"/a/libpqmint.so:/b/libpqmint.so", ""},
           {"/a/notlibpqmint.so:/a/libpqmint.so.1:/libpqmint.so/x",
            "/a/notlibpqmint.so:/a/libpqmint.so.1:/libpqmint.so/x"},
           {"x.so  y.so:", "x.so  y.so:"},
       }) {
    EXPECT_EQ(without_ours(list, LoaderList::kPreload), rest) << list;
  }
}

// A folder is told by what it holds, not by its name.
class LibraryList : public test::CleanEnvironment {
 protected:
  LibraryList() {
    for (const std::string& folder : {ours, theirs}) std::filesystem::create_directories(folder);
    EXPECT_EQ(symlink("/nowhere/libpq.so.5", (ours + "/libpq-real.so.5").c_str()), 0);
    write("opt/pqmint/libpq.so.5", "");
  }
  const std::string ours = home + "/run/0123456789abcdef", theirs = home + "/opt/pqmint";
};

TEST_F(LibraryList, LosesOurFolderAlone) {
  for (const auto& [list, rest] : std::vector<std::pair<std::string, std::string>>{
           {ours, ""},
           {ours + "/", ""},
           {theirs, theirs},
           {theirs + ":" + ours + ";/x", theirs + ":/x"},
           {ours + ":" + ours + ":" + theirs, theirs},
           {"/my libs;" + ours, "/my libs"},
           {"/usr/lib/pqmint:/lib", "/usr/lib/pqmint:/lib"},
       }) {
    EXPECT_EQ(without_ours(list, LoaderList::kLibraryPath), rest) << list;
  }
}

// An empty entry is the current folder, and an empty list has none.
TEST_F(LibraryList, KeepsTheCurrentFolder) {
  for (const auto& [list, rest] : std::vector<std::pair<std::string, std::string>>{
           {ours + "::/x", ":/x"},
           {ours + ":/x:", "/x:"},
           {"/x::" + ours + ":/y", "/x::/y"},
           {ours + ":", ":"},
           {":" + ours, ":"},
           {":", ":"},
           {"/x:;", "/x:;"},
       }) {
    EXPECT_EQ(without_ours(list, LoaderList::kLibraryPath), rest) << list;
  }
}

}  // namespace
}  // namespace pqmint
