#include "harness/plan/file_digests.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <filesystem>

#include "harness/core/atomic_file.h"
#include "harness/core/digest.h"
#include "tests/support/sweep_text.h"

namespace assay::plan {
namespace {

namespace fs = std::filesystem;
using assay::testing::refusal;
using assay::testing::TemporaryFolder;
using ::testing::HasSubstr;

class FileDigestsTest : public ::testing::Test {
 protected:
  fs::path write(const std::string& name, const std::string& content, int age_s = 60) {
    const fs::path file = folder_.write(name, content);
    fs::last_write_time(file, fs::file_time_type::clock::now() - std::chrono::seconds(age_s));
    return file;
  }
  fs::path cache() const { return folder_.path() / "cache" / "digests.json"; }

  TemporaryFolder folder_;
};

TEST_F(FileDigestsTest, a_file_is_read_once_over_many_runs) {
  const fs::path file = write("a", "content");
  {
    FileDigests first(cache());
    EXPECT_EQ(first.digest(file), sha256("content"));
    EXPECT_EQ(first.digest(file), sha256("content"));
    EXPECT_EQ(first.files_read(), 1);
  }
  FileDigests second(cache());
  EXPECT_EQ(second.digest(file), sha256("content"));
  EXPECT_EQ(second.files_read(), 0);
}

TEST_F(FileDigestsTest, a_changed_or_replaced_file_is_read_again) {
  const fs::path file = write("a", "content");
  FileDigests digests(cache());
  digests.digest(file);
  write("a", "CONTENT", 60);  // the same size, replaced by renaming: another inode
  EXPECT_EQ(digests.digest(file), sha256("CONTENT"));
  fs::last_write_time(file, fs::file_time_type::clock::now() - std::chrono::seconds(30));
  digests.digest(file);
  EXPECT_EQ(digests.files_read(), 3);
}

TEST_F(FileDigestsTest, a_file_written_a_moment_ago_is_not_kept) {
  const fs::path file = folder_.write("a", "content");
  FileDigests digests(cache());
  digests.digest(file);
  digests.digest(file);
  EXPECT_EQ(digests.files_read(), 2);
}

TEST_F(FileDigestsTest, a_damaged_cache_is_started_anew) {
  const fs::path file = write("a", "content");
  for (const char* damage :
       {"", "{", "[]", R"({"version": 1, "files": {"x": 3}})",
        R"({"version": 1, "files": {"x": {"size": -1}}})", R"({"version": 9})"}) {
    folder_.write("cache/digests.json", damage);
    FileDigests digests(cache());
    EXPECT_EQ(digests.digest(file), sha256("content")) << damage;
  }
}

TEST_F(FileDigestsTest, a_cache_that_cannot_be_written_is_done_without) {
  const fs::path file = write("a", "content");
  folder_.write("blocked", "");
  FileDigests digests(folder_.path() / "blocked" / "digests.json");
  EXPECT_EQ(digests.digest(file), sha256("content"));
  FileDigests none("");
  EXPECT_EQ(none.digest(file), sha256("content"));
}

TEST_F(FileDigestsTest, a_manifest_lists_paths_and_digests_in_order) {
  write("images/b/2.png", "2");
  write("images/a/1.png", "1");
  FileDigests digests("");
  const std::string expected = sha256(sha256("1") + "  a/1.png\n" + sha256("2") + "  b/2.png\n");
  EXPECT_EQ(digests.manifest(folder_.path() / "images"), expected);
  write("images/b/2.png", "3");
  EXPECT_NE(digests.manifest(folder_.path() / "images"), expected);
}

TEST_F(FileDigestsTest, tells_files_folders_and_what_is_missing) {
  write("x/b", "");
  write("x/a", "");
  FileDigests digests("");
  EXPECT_EQ(digests.kind(folder_.path() / "x"), InputDigests::Kind::kFolder);
  EXPECT_EQ(digests.kind(folder_.path() / "x/a"), InputDigests::Kind::kFile);
  EXPECT_EQ(digests.kind(folder_.path() / "y"), InputDigests::Kind::kMissing);
  EXPECT_EQ(digests.files_in(folder_.path() / "x"), (std::vector<std::string>{"a", "b"}));
  EXPECT_THAT(refusal([&] { digests.digest(folder_.path() / "y"); }), HasSubstr("io: cannot read"));
}

}  // namespace
}  // namespace assay::plan
