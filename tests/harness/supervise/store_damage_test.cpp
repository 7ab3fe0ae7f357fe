#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <chrono>
#include <fstream>
#include <thread>

#include "harness/base/atomic_file.h"
#include "harness/contract/artifact_files.h"
#include "tests/harness/supervise/store_fixture.h"

// Artifacts that are not what was published any more: found, put aside and made again.

namespace assay::supervise {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;

TEST_F(StoreTest, an_edited_figure_is_found) {
  const fs::path file = publish(finished("a", 273)).artifact.path;
  std::string text = read_file(file);
  text.replace(text.find("273"), 3, "173");
  write_file_atomically(file, text);
  EXPECT_FALSE(store.lookup(key("a")));
  EXPECT_THAT(store.damage().at(0), HasSubstr("is not the text that was published"));
}

TEST_F(StoreTest, a_file_that_is_written_to_after_its_publication_is_found) {
  Finished made = with_file("a", "12345");
  std::fstream child(made.files / "codes" / "a.bin", std::ios::in | std::ios::out);
  const fs::path file = publish(made).artifact.path / "codes" / "a.bin";
  ASSERT_TRUE(store.lookup(key("a")));
  std::this_thread::sleep_for(std::chrono::milliseconds(20));
  child << "54321" << std::flush;  // the size stays
  EXPECT_EQ(read_file(file), "54321");
  EXPECT_FALSE(store.lookup(key("a")));
  EXPECT_THAT(store.damage().at(0), HasSubstr("a.bin holds something else than was published"));
}

TEST_F(StoreTest, published_files_are_read_only_and_a_copy_of_the_store_is_read_once) {
  const fs::path file = publish(with_file("a", "12345")).artifact.path / "codes" / "a.bin";
  EXPECT_EQ(fs::status(file).permissions(), fs::perms(0444));
  fs::last_write_time(file, fs::file_time_type::clock::now());
  EXPECT_TRUE(store.lookup(key("a")));
  struct stat status {};
  ASSERT_EQ(::stat(file.c_str(), &status), 0);
  EXPECT_TRUE(is_sealed(status));
}

TEST_F(StoreTest, a_file_that_is_an_inputs_too_is_copied_before_it_is_sealed) {
  const fs::path input = folder.path() / "weights";
  write_file_atomically(input, "12345");
  Finished made = with_file("a", "x");
  fs::create_hard_link(input, made.files / "weights");
  publish(made);
  EXPECT_NE(fs::status(input).permissions(), fs::perms(0444));
}

TEST_F(StoreTest, an_artifact_without_digests_is_made_again) {
  const fs::path file = publish(finished("a")).artifact.path;
  Json old = parse_json(read_file(file), "test");
  old.erase("digest");
  write_file_atomically(file, old.dump());
  EXPECT_FALSE(store.lookup(key("a")));
  EXPECT_TRUE(publish(finished("a")).first);
}

TEST_F(StoreTest, damaged_artifacts_are_moved_aside_and_count_as_missing) {
  write_file_atomically(publish(finished("cut")).artifact.path, "{\"key\": ");
  write_file_atomically(publish(finished("empty")).artifact.path, "");
  write_file_atomically(publish(finished("other")).artifact.path, result("x").dump());
  write_file_atomically(publish(with_file("short", "12345")).artifact.path / "codes" / "a.bin",
                        "123");
  fs::remove(publish(with_file("gone", "12345")).artifact.path / "codes" / "a.bin");
  fs::remove(publish(with_file("headless", "1")).artifact.path / "result.json");
  for (const char* name : {"cut", "empty", "other", "short", "gone", "headless"})
    EXPECT_FALSE(store.lookup(key(name))) << name;
  ASSERT_EQ(store.damage().size(), 6u);
  EXPECT_THAT(store.damage()[2], HasSubstr("holds another key"));
  EXPECT_THAT(store.damage()[3], HasSubstr("codes/a.bin has 3 bytes instead of 5"));
  EXPECT_GT(store.usage().damaged_bytes, 0);
  EXPECT_TRUE(publish(finished("cut")).first) << "there is room for a new one";
  EXPECT_TRUE(store.lookup(key("cut")));
}

TEST_F(StoreTest, a_damaged_artifact_gives_way_to_a_publisher_too) {
  write_file_atomically(publish(finished("a")).artifact.path, "");
  EXPECT_TRUE(publish(finished("a")).first);
  EXPECT_TRUE(store.lookup(key("a")));
}

TEST_F(StoreTest, what_is_no_file_is_put_aside_and_made_again) {
  const auto replace = [](const fs::path& path, int form) {
    fs::remove_all(path);
    if (form == 0) fs::create_directories(path);
    if (form == 1) fs::create_symlink("/nowhere/at/all", path);
    if (form == 2) ::mkfifo(path.c_str(), 0644);
  };
  for (int form = 0; form < 3; ++form) {
    const fs::path single = publish(finished("a")).artifact.path;
    const fs::path whole = publish(with_file("b", "codes")).artifact.path;
    replace(single, form);
    replace(whole / "result.json", form);
    EXPECT_FALSE(store.lookup(key("a"))) << form;
    EXPECT_FALSE(store.lookup(key("b"))) << form;
    EXPECT_FALSE(fs::exists(fs::symlink_status(single))) << form;
    replace(publish(with_file("b", "codes")).artifact.path / "codes" / "a.bin", form);
    EXPECT_FALSE(store.lookup(key("b"))) << form;
  }
  EXPECT_THAT(store.damage(), ::testing::SizeIs(9));
  const fs::path path = publish(finished("a")).artifact.path;
  replace(path, 0);
  EXPECT_TRUE(store.remove(key("a"))) << "forced";
  EXPECT_FALSE(fs::exists(path));
}

TEST_F(StoreTest, content_that_rotted_under_its_seal_is_found_by_who_reads_it_whole) {
  const Published made = publish(with_file("a", "codes"));
  const fs::path file = made.artifact.path / "codes" / "a.bin";
  write_file_atomically(file, "c0des");
  seal(file);
  EXPECT_TRUE(store.lookup(key("a")));
  EXPECT_FALSE(store.verified(key("a")));
  EXPECT_FALSE(store.lookup(key("a"))) << "it is put aside";
  publish(with_file("a", "codes"));
  EXPECT_TRUE(store.verified(key("a")));
  EXPECT_TRUE(store.audit(made.artifact.path, key("a")));
}

}  // namespace
}  // namespace assay::supervise
