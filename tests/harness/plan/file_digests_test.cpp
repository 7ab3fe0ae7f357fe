#include "harness/plan/file_digests.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <filesystem>
#include <fstream>
#include <set>
#include <thread>

#include "harness/base/atomic_file.h"
#include "harness/base/digest.h"
#include "tests/support/refusal.h"
#include "tests/support/temporary_folder.h"

namespace assay::plan {
namespace {

namespace fs = std::filesystem;
using assay::testing::refusal;
using ::testing::HasSubstr;

class FileDigestsTest : public ::testing::Test {
 protected:
  fs::path write(const std::string& name, const std::string& content) {
    return folder_.write(name, content);
  }
  // The clock of a run that starts a minute after the files were written.
  static std::int64_t later() { return wall_clock_ns() + 60'000'000'000; }
  fs::path cache() const { return folder_.path() / "cache" / "digests.json"; }

  TemporaryFolder folder_;
};

TEST_F(FileDigestsTest, a_file_is_read_once_over_many_runs) {
  const fs::path file = write("a", "content");
  {
    FileDigests first(cache(), later);
    EXPECT_EQ(first.digest(file), sha256("content"));
    EXPECT_EQ(first.digest(file), sha256("content"));
    EXPECT_EQ(first.files_read(), 1);
  }
  FileDigests second(cache(), later);
  EXPECT_EQ(second.digest(file), sha256("content"));
  EXPECT_EQ(second.files_read(), 0);
}

TEST_F(FileDigestsTest, a_changed_or_replaced_file_is_read_again) {
  const fs::path file = write("a", "content");
  FileDigests digests(cache(), later);
  digests.digest(file);
  write("b", "CONTENT");
  fs::rename(folder_.path() / "b", file);  // the same size, another inode
  EXPECT_EQ(digests.digest(file), sha256("CONTENT"));
  EXPECT_EQ(digests.files_read(), 2);
}

TEST_F(FileDigestsTest, a_change_whose_time_was_put_back_is_seen) {
  const fs::path file = write("a", "content");
  const fs::file_time_type time = fs::last_write_time(file);
  FileDigests digests(cache(), later);
  digests.digest(file);
  std::this_thread::sleep_for(std::chrono::milliseconds(50));
  std::fstream(file, std::ios::in | std::ios::out) << "CONTENT";  // the same inode and size
  fs::last_write_time(file, time);
  EXPECT_EQ(digests.digest(file), sha256("CONTENT"));
}

TEST_F(FileDigestsTest, a_file_written_a_moment_ago_is_not_kept) {
  const fs::path file = folder_.write("a", "content");
  FileDigests digests(cache());
  EXPECT_FALSE(digests.known(file).identity);
  EXPECT_FALSE(digests.known(file).identity);
  EXPECT_EQ(digests.files_read(), 2);
  FileDigests settled(cache(), later);
  EXPECT_EQ(settled.known(file).identity, identity_of(file));
}

TEST_F(FileDigestsTest, a_damaged_cache_is_started_anew) {
  const fs::path file = write("a", "content");
  for (const char* damage :
       {"", "{", "[]", R"({"version": 2, "files": {"x": 3}})",
        R"({"version": 2, "files": {"x": {"identity": {"size_bytes": -1}}}})", R"({"version": 1})", R"({"version": 9})"}) {
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

TEST_F(FileDigestsTest, a_manifest_lists_files_and_folders_in_order) {
  write("images/b/2.png", "2");
  write("images/a/1.png", "1");
  fs::create_directories(folder_.path() / "images/empty");
  FileDigests digests("");
  const fs::path images = folder_.path() / "images";
  const Manifest manifest = digests.manifest(images);
  std::string listed;
  for (const ManifestEntry& entry : manifest) listed += entry.path + (entry.folder ? "/ " : " ");
  EXPECT_EQ(listed, "a/ a/1.png b/ b/2.png empty/ ");
  EXPECT_EQ(content_digest(manifest),
            sha256("[\"a\"]\n[\"a/1.png\",\"" + sha256("1") + "\"]\n[\"b\"]\n[\"b/2.png\",\"" +
                   sha256("2") + "\"]\n[\"empty\"]\n"));
  EXPECT_EQ(parse_manifest(text_of(manifest), "test"), manifest);
}

TEST_F(FileDigestsTest, names_contents_and_empty_folders_move_a_manifests_digest) {
  write("images/a/1.png", "1");
  write("images/b/2.png", "2");
  FileDigests digests("");
  const fs::path images = folder_.path() / "images";
  std::set<std::string> seen{content_digest(digests.manifest(images))};
  const auto expect_new = [&] {
    EXPECT_TRUE(seen.insert(content_digest(digests.manifest(images))).second);
  };
  write("images/b/2.png", "3");
  expect_new();
  fs::rename(images / "a/1.png", images / "a/0.png");
  expect_new();
  fs::create_directories(images / "c");
  expect_new();
  fs::rename(images / "c", images / "d");
  expect_new();
  // Times are no content.
  fs::last_write_time(images / "a/0.png", fs::file_time_type::clock::now());
  EXPECT_FALSE(seen.insert(content_digest(digests.manifest(images))).second);
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
