#include "harness/supervise/store.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <cstdlib>
#include <fstream>
#include <thread>

#include "harness/base/atomic_file.h"
#include "harness/base/digest.h"
#include "harness/base/error.h"
#include "harness/contract/artifact_files.h"
#include "harness/supervise/host.h"
#include "tests/support/temporary_folder.h"

namespace assay::supervise {
namespace {

namespace fs = std::filesystem;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

class StoreTest : public ::testing::Test {
 protected:
  static std::string key(const std::string& name) { return sha256(name); }

  static Json result(const std::string& name, double value = 1) {
    return {{"stage", "echo.value"}, {"key", key(name)},          {"metrics", {{"v", value}}},
            {"attempt", 1},          {"cost", {{"wall_s", 0.5}}}, {"environment", {{"host", "a"}}}};
  }

  Finished finished(const std::string& name, double value = 1) {
    return {key(name), "", result(name, value), ""};
  }

  // With one file of this content.
  Finished with_file(const std::string& name, const std::string& content) {
    Finished made = finished(name);
    made.files = store.output_folder(name + "." + std::to_string(++attempts));
    fs::create_directories(made.files / "codes");
    write_file_atomically(made.files / "codes" / "a.bin", content);
    return made;
  }

  Published publish(const Finished& one) { return store.publish({&one, 1}).at(0); }

  std::vector<fs::path> everything_in(const char* name) {
    std::vector<fs::path> found;
    for (const auto& entry : fs::recursive_directory_iterator(root() / name))
      found.push_back(entry.path());
    return found;
  }

  fs::path root() const { return folder.path() / "store"; }

  TemporaryFolder folder;
  Store store{root()};
  int attempts = 0;
};

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
  EXPECT_THAT(everything_in("tmp"), testing::SizeIs(1)) << "only this process's empty folder";
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

TEST_F(StoreTest, a_crash_before_the_rename_leaves_nothing_visible_and_is_cleaned_up) {
  const pid_t child = ::fork();
  if (child == 0) {
    Store other(root());
    const fs::path files = other.output_folder("k.1");
    fs::create_directories(files);
    write_file_atomically(files / "half.bin", "half");
    ::_exit(0);  // as a kill would: no destructor runs
  }
  int status = 0;
  ::waitpid(child, &status, 0);
  EXPECT_THAT(everything_in("tmp"), ::testing::Not(IsEmpty()));
  EXPECT_FALSE(store.lookup(key("k")));
  const Store next(root());
  EXPECT_THAT(everything_in("tmp"), IsEmpty());
}

TEST_F(StoreTest, folders_of_live_processes_are_left_alone) {
  const fs::path output = store.output_folder("k.1");
  fs::create_directories(output);
  const Store next(root());
  EXPECT_TRUE(fs::exists(output));
}

TEST_F(StoreTest, what_an_attempt_leaves_beside_its_output_goes_with_it) {
  const Finished made = with_file("a", "codes");
  write_file_atomically(made.files.parent_path() / "scratch", "x");
  publish(made);
  EXPECT_FALSE(fs::exists(made.files.parent_path()));
  const fs::path output = store.output_folder("b.1");
  fs::create_directories(output);
  store.remove_output(output);
  EXPECT_THAT(everything_in("tmp"), testing::SizeIs(1)) << "only this process's empty folder";
}

TEST_F(StoreTest, the_folder_of_an_attempt_serves_again_only_if_nothing_was_put_into_it) {
  const fs::path first = store.output_folder("a.1");
  ASSERT_TRUE(store.reuse_output(first));
  const fs::path second = store.output_folder("b.1");
  EXPECT_EQ(second.parent_path(), first.parent_path());
  EXPECT_NE(second, first) << "the first attempt may still write";

  write_file_atomically(second.parent_path() / "scratch", "x");
  fs::remove(second.parent_path() / "scratch");
  EXPECT_FALSE(store.reuse_output(second)) << "something was put into it, if only for a while";
  store.remove_output(second);

  const fs::path third = store.output_folder("c.1");
  ASSERT_TRUE(store.reuse_output(third));
  fs::remove_all(third.parent_path());
  EXPECT_TRUE(fs::exists(store.output_folder("d.1").parent_path())) << "it was removed meanwhile";
}

class SharedStoreTest : public StoreTest {
 protected:
  void expect_shared(const Store& mine) {
    const double until_s = monotonic_seconds() + 5;
    while (!mine.shared() && monotonic_seconds() < until_s) ::usleep(20'000);
    EXPECT_TRUE(mine.shared());
  }
  const fs::path another = root() / "tmp" / "elsewhere.1.2.3";
};

TEST_F(SharedStoreTest, is_one_in_which_another_process_is_at_work) {
  store.output_folder("a.1");
  EXPECT_FALSE(store.shared());
  fs::create_directories(another);
  expect_shared(store);
}

TEST_F(SharedStoreTest, is_one_in_which_another_process_was_at_work_before_this_one) {
  fs::create_directories(another);
  const Store mine(root());
  expect_shared(mine);
}

TEST_F(SharedStoreTest, remembers_a_process_that_has_come_and_gone) {
  store.output_folder("a.1");
  EXPECT_FALSE(store.shared());
  ::usleep(20'000);  // times of files are those of the last tick of the clock
  fs::create_directories(another);
  fs::remove(another);
  expect_shared(store);
}

TEST_F(SharedStoreTest, remembers_one_that_has_come_and_gone_before_its_own_first_stage) {
  ::usleep(20'000);
  fs::create_directories(another);
  fs::remove(another);
  store.output_folder("a.1");
  expect_shared(store);
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
  try {
    Store::default_root();
    ADD_FAILURE() << "nothing was thrown";
  } catch (const Error& e) {
    EXPECT_EQ(e.kind(), ErrorKind::kEnvironment);
    EXPECT_THAT(e.what(), HasSubstr("ASSAY_STORE"));
    EXPECT_THAT(e.what(), HasSubstr("not UTF-8"));
  }
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

TEST_F(StoreTest, a_store_that_is_not_shared_is_refused) {
  const std::string nonce = store.write_nonce();
  Store(root()).check_nonce(nonce, 0);
  const Store other(folder.path() / "elsewhere");
  try {
    other.check_nonce(nonce, 0);
    FAIL();
  } catch (const Error& e) {
    EXPECT_EQ(e.kind(), ErrorKind::kEnvironment);
    EXPECT_THAT(e.what(), HasSubstr("set ASSAY_STORE to a folder that all nodes share"));
  }
  store.remove_nonce(nonce);
  EXPECT_THROW(store.check_nonce(nonce, 0), Error);
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
  EXPECT_THAT(store.damage(), testing::SizeIs(9));
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

TEST_F(StoreTest, a_full_disk_is_an_io_error_that_names_the_file_and_the_mend) {
  // /dev/full is a disk that is always full.
  fs::create_directories(root() / "objects" / key("a").substr(0, 2));
  const fs::path mine = store.output_folder("x").parent_path().parent_path();
  fs::create_symlink("/dev/full", mine / (key("a") + ".json"));
  try {
    publish(finished("a"));
    FAIL();
  } catch (const Error& e) {
    EXPECT_EQ(e.kind(), ErrorKind::kIo);
    EXPECT_THAT(e.what(), HasSubstr("No space left on device; free space (assay store gc)"));
  }
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
