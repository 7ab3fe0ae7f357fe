#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include "harness/base/atomic_file.h"
#include "tests/harness/supervise/store_fixture.h"

// The folders of a store that attempts write their output into.

namespace assay::supervise {
namespace {

namespace fs = std::filesystem;
using ::testing::IsEmpty;

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
  EXPECT_THAT(everything_in("tmp"), ::testing::SizeIs(1)) << "only this process's empty folder";
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

}  // namespace
}  // namespace assay::supervise
