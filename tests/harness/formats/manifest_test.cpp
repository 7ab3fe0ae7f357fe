#include "harness/formats/manifest.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <fstream>

#include "harness/base/atomic_file.h"
#include "tests/support/refusal.h"
#include "tests/support/temporary_folder.h"

namespace assay {
namespace {

namespace fs = std::filesystem;
using assay::testing::refusal;
using ::testing::HasSubstr;

TEST(ManifestTest, malformed_lines_are_refused_by_their_number) {
  const std::string good = "[\"a\"]\n[\"a/b\",\"d\"]\n";
  EXPECT_EQ(parse_manifest(good, "m").size(), 2U);
  for (const char* bad :
       {"[", "{}", "[]", "[3]", "[\"c\",4]", "[\"c\",\"d\",1]", "[\"c\",\"d\",-1,0,0,\"x\"]",
        "[\"../c\"]", "[\"/c\"]", "[\"c/./d\"]", "[\"\"]", "[\"b//c\"]", "[\"a\"]"}) {
    EXPECT_THAT(refusal([&] { parse_manifest(good + bad + "\n", "m"); }),
                HasSubstr("data: m, line 3"))
        << bad;
  }
}

TEST(ManifestTest, a_manifest_other_than_the_recipes_is_refused) {
  const TemporaryFolder root;
  InputFile folder = unplanned("/images");
  folder.manifest = root / "m";
  write_file_atomically(folder.manifest, "[\"a\"]\n");
  folder.digest = content_digest({{.path = "a", .folder = true}});
  EXPECT_EQ(read_manifest(folder).size(), 1U);
  folder.digest = content_digest({{.path = "b", .folder = true}});
  EXPECT_THAT(refusal([&] { read_manifest(folder); }), HasSubstr("is not the manifest"));
  folder.manifest.clear();
  EXPECT_THAT(refusal([&] { read_manifest(folder); }), HasSubstr("name no manifest"));
}

TEST(ManifestTest, names_that_are_no_utf8_are_refused) {
  const TemporaryFolder root;
  std::ofstream(root / "\xff.png") << "x";
  EXPECT_THAT(refusal([&] { list_folder(root); }), HasSubstr("is not UTF-8"));
}

TEST(ManifestTest, links_to_nowhere_and_upwards_are_refused_others_are_followed) {
  const TemporaryFolder root;
  fs::create_directories(root / "split/cat");
  fs::create_directories(root / "elsewhere");
  std::ofstream(root / "elsewhere/1.png") << "x";
  fs::create_symlink("../../elsewhere/1.png", root / "split/cat/1.png");
  fs::create_directory_symlink("../elsewhere", root / "split/dog");
  EXPECT_EQ(list_folder(root / "split").size(), 4U);  // cat, cat/1.png, dog, dog/1.png
  fs::create_symlink("../../gone.png", root / "split/cat/2.png");
  EXPECT_THAT(refusal([&] { list_folder(root / "split"); }),
              HasSubstr("'cat/2.png' below it is a link to '../../gone.png', where nothing is"));
  fs::remove(root / "split/cat/2.png");
  fs::create_directory_symlink("..", root / "split/cat/up");
  EXPECT_THAT(refusal([&] { list_folder(root / "split"); }),
              HasSubstr("'cat/up' below it is a link to a folder that holds it"));
}

}  // namespace
}  // namespace assay
