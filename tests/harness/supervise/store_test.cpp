#include "harness/supervise/store.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>

#include "harness/base/atomic_file.h"
#include "harness/base/error.h"
#include "harness/supervise/host.h"
#include "tests/harness/supervise/store_fixture.h"
#include "tests/support/refusal.h"

namespace assay::supervise {
namespace {

namespace fs = std::filesystem;
using assay::testing::refusal;
using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::StartsWith;

TEST_F(StoreTest, what_was_published_is_found_again) {
  EXPECT_FALSE(store.lookup(key("a")));
  const Published published = publish(finished("a"));
  EXPECT_TRUE(published.first);
  const auto found = store.lookup(key("a"));
  ASSERT_TRUE(found);
  EXPECT_EQ(found->result["metrics"]["v"], 1);
  EXPECT_EQ(found->path, published.artifact.path);
  EXPECT_EQ(found->path.extension(), ".json");
  EXPECT_EQ(found->size_bytes, static_cast<std::int64_t>(fs::file_size(found->path)));
  EXPECT_THAT(everything_in("tmp"), ::testing::SizeIs(1)) << "only this process's empty folder";
}

TEST_F(StoreTest, files_come_with_their_sizes) {
  publish(with_file("a", "12345"));
  const auto found = store.lookup(key("a"));
  ASSERT_TRUE(found);
  EXPECT_EQ(found->result["files"], (Json{{"codes/a.bin", 5}}));
  EXPECT_EQ(read_file(found->path / "codes" / "a.bin"), "12345");
  EXPECT_EQ(found->size_bytes,
            5 + static_cast<std::int64_t>(fs::file_size(found->path / "result.json")));
}

TEST_F(StoreTest, a_group_is_published_in_its_order) {
  const std::vector<Finished> group{finished("a"), with_file("b", "x"), finished("c")};
  const std::vector<Published> published = store.publish(group);
  ASSERT_EQ(published.size(), 3u);
  EXPECT_EQ(published[1].key, key("b"));
  EXPECT_TRUE(store.lookup(key("a")) && store.lookup(key("b")) && store.lookup(key("c")));
}

TEST_F(StoreTest, the_first_of_two_equal_results_stays_and_nothing_is_said) {
  publish(with_file("a", "same"));
  Finished second = with_file("a", "same");
  second.result["attempt"] = 2;
  second.result["cost"]["wall_s"] = 9;
  second.result["environment"]["host"] = "b";
  const Published published = publish(second);
  EXPECT_FALSE(published.first);
  EXPECT_THAT(published.nondeterminism, IsEmpty());
  EXPECT_EQ(published.artifact.result["attempt"], 1);
  EXPECT_FALSE(fs::exists(second.files));
}

TEST_F(StoreTest, another_metric_another_byte_and_another_form_are_nondeterminism) {
  publish(finished("metric", 1));
  EXPECT_THAT(publish(finished("metric", 2)).nondeterminism,
              HasSubstr("/metrics/v: 1.0 in the store, 2.0 here"));
  publish(with_file("byte", "aaaa"));
  EXPECT_THAT(publish(with_file("byte", "aaab")).nondeterminism,
              HasSubstr("content of codes/a.bin"));
  publish(finished("form"));
  EXPECT_THAT(publish(with_file("form", "x")).nondeterminism, HasSubstr("files"));
  publish(with_file("form2", "x"));
  EXPECT_THAT(publish(finished("form2")).nondeterminism, HasSubstr("files"));
}

TEST_F(StoreTest, results_of_one_run_do_not_serve_another) {
  Finished timing = finished("a");
  timing.run = "run-1";
  publish(timing);
  EXPECT_TRUE(store.lookup(key("a"), "run-1"));
  EXPECT_FALSE(store.lookup(key("a"), "run-2"));
  EXPECT_FALSE(store.lookup(key("a")));
}

TEST_F(StoreTest, publication_drops_checkpoints) {
  const fs::path checkpoints = store.resume_folder(key("a"), "run", 1);
  fs::create_directories(checkpoints);
  write_file_atomically(checkpoints / "c", "x");
  Finished made = finished("a");
  made.made_by = "another";
  publish(made);
  EXPECT_TRUE(fs::exists(checkpoints)) << "a run that is at work on them finds the artifact itself";
  store.remove_checkpoints(key("a"), "run");
  EXPECT_FALSE(fs::exists(checkpoints.parent_path()));
}

TEST_F(StoreTest, removing_forgets_either_form) {
  publish(finished("a"));
  publish(with_file("b", "x"));
  EXPECT_TRUE(store.remove(key("a")));
  EXPECT_TRUE(store.remove(key("b")));
  EXPECT_FALSE(store.remove(key("b")));
  EXPECT_FALSE(store.lookup(key("a")) || store.lookup(key("b")));
}

TEST_F(StoreTest, gc_keeps_what_live_roots_reach) {
  for (const char* name : {"kept", "leased", "doomed"}) publish(finished(name));
  fs::create_directories(folder.path() / "run1");
  store.register_root({"run1", folder.path() / "run1", {key("kept")}, 0});
  store.register_root({"run2", folder.path() / "gone", {key("leased")}, unix_seconds() + 100});
  store.register_root({"run3", folder.path() / "gone", {key("doomed")}, unix_seconds() - 1});
  EXPECT_EQ(store.gc(3600).objects, 0) << "all are young";
  EXPECT_EQ(store.gc(0, true).objects, 1) << "a dry run counts";
  EXPECT_TRUE(store.lookup(key("doomed")));
  EXPECT_EQ(store.gc(0).objects, 1);
  EXPECT_FALSE(store.lookup(key("doomed")));
  EXPECT_TRUE(store.lookup(key("kept")) && store.lookup(key("leased")));
}

TEST_F(StoreTest, a_folder_that_is_not_utf8_is_refused_by_name) {
  const char* before = std::getenv("ASSAY_STORE");
  const std::string saved = before == nullptr ? "" : before;
  ::setenv("ASSAY_STORE", "/tmp/st\xffore", 1);
  EXPECT_THAT(refusal([] { Store::default_root(); }),
              AllOf(StartsWith("environment: "), HasSubstr("ASSAY_STORE"), HasSubstr("not UTF-8")));
  ::setenv("ASSAY_STORE", saved.c_str(), 1);
  if (before == nullptr) ::unsetenv("ASSAY_STORE");
}

TEST_F(StoreTest, sizes_are_counted) {
  publish(finished("a"));
  publish(with_file("b", std::string(1000, 'x')));
  const StoreUsage usage = store.usage();
  EXPECT_EQ(usage.objects, 2);
  EXPECT_GT(usage.object_bytes, 1000);
  std::vector<std::string> keys;
  store.for_each([&](const std::string& each, const fs::path&, std::int64_t bytes) {
    keys.push_back(each);
    EXPECT_GT(bytes, 0);
  });
  EXPECT_TRUE(std::is_sorted(keys.begin(), keys.end()));
  EXPECT_EQ(keys.size(), 2u);
}

TEST_F(StoreTest, names_from_outside_cannot_leave_the_store) {
  EXPECT_THROW(store.lookup("../../etc/passwd"), Error);
  EXPECT_THROW(store.lookup(key("a"), "../x"), Error);
  EXPECT_THROW(store.output_folder("a/b"), Error);
  EXPECT_THROW(store.output_folder(".."), Error);
}

TEST_F(StoreTest, an_artifact_holds_regular_files_only) {
  const fs::path files = store.output_folder("k.1");
  fs::create_directories(files);
  write_file_atomically(files / "result.json", "{}");
  EXPECT_THROW(inventory(files), Error);
  fs::remove(files / "result.json");
  fs::create_symlink("/etc/passwd", files / "link");
  EXPECT_THROW(inventory(files), Error);
}

TEST_F(StoreTest, a_full_disk_is_an_io_error_that_names_the_file_and_the_mend) {
  // /dev/full is a disk that is always full.
  fs::create_directories(root() / "objects" / key("a").substr(0, 2));
  const fs::path mine = store.output_folder("x").parent_path().parent_path();
  fs::create_symlink("/dev/full", mine / (key("a") + ".json"));
  EXPECT_THAT(
      refusal([&] { publish(finished("a")); }),
      AllOf(StartsWith("io: "), HasSubstr("No space left on device; free space (assay store gc)")));
  EXPECT_FALSE(store.lookup(key("a")));
}

TEST(StoreRoot, comes_from_the_environment) {
  ::setenv("ASSAY_STORE", "/somewhere/store", 1);
  EXPECT_EQ(Store::default_root(), "/somewhere/store");
  ::unsetenv("ASSAY_STORE");
  ::setenv("XDG_CACHE_HOME", "/somewhere/cache", 1);
  EXPECT_EQ(Store::default_root(), "/somewhere/cache/assay");
  ::unsetenv("XDG_CACHE_HOME");
  EXPECT_EQ(Store::default_root().filename(), "assay");
}

}  // namespace
}  // namespace assay::supervise
