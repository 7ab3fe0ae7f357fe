#include "harness/supervise/run_lock.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "harness/core/atomic_file.h"
#include "harness/core/error.h"
#include "harness/core/json.h"
#include "harness/supervise/host.h"
#include "tests/harness/supervise/temporary_folder.h"

namespace assay::supervise {
namespace {

using ::testing::HasSubstr;

class RunLockTest : public ::testing::Test {
 protected:
  void somebody_left(const Json& content, double silent_s = 0) {
    write_file_atomically(file(), content.dump());
    const timespec then{static_cast<time_t>(unix_seconds() - silent_s), 0};
    const timespec times[2]{then, then};
    ::utimensat(AT_FDCWD, file().c_str(), times, 0);
  }
  Json ourselves() const {
    return {{"host", host_name()},
            {"boot_id", boot_id()},
            {"pid", ::getpid()},
            {"started", process_start(::getpid())},
            {"token", "x"}};
  }
  std::string refusal() const {
    try {
      RunLock lock(run());
    } catch (const Error& e) {
      EXPECT_EQ(e.kind(), ErrorKind::kEnvironment);
      return e.what();
    }
    return "taken";
  }
  std::filesystem::path run() const { return folder.path() / "run"; }
  std::filesystem::path file() const { return run() / "run.lock"; }

  void SetUp() override { std::filesystem::create_directories(run()); }
  TemporaryFolder folder;
};

TEST_F(RunLockTest, is_held_by_one_and_released_at_the_end) {
  {
    RunLock lock(run());
    lock.beat();
    EXPECT_THAT(refusal(), HasSubstr("in use by process " + std::to_string(::getpid()) + " on " +
                                     host_name()));
  }
  EXPECT_FALSE(std::filesystem::exists(file()));
  EXPECT_EQ(refusal(), "taken");
}

TEST_F(RunLockTest, of_a_process_that_was_killed_is_stale) {
  const pid_t child = ::fork();
  if (child == 0) {
    RunLock lock(run());
    ::_exit(0);  // the file stays
  }
  int status = 0;
  ::waitpid(child, &status, 0);
  ASSERT_TRUE(std::filesystem::exists(file()));
  EXPECT_EQ(refusal(), "taken");
}

TEST_F(RunLockTest, of_a_number_that_is_used_again_is_stale) {
  Json reused = ourselves();
  reused["started"] = process_start(::getpid()) + 1;
  somebody_left(reused);
  EXPECT_EQ(refusal(), "taken");
}

TEST_F(RunLockTest, from_before_a_reboot_is_stale) {
  Json old = ourselves();
  old["boot_id"] = "another";
  somebody_left(old);
  EXPECT_EQ(refusal(), "taken");
}

TEST_F(RunLockTest, of_another_host_lives_by_its_heartbeat) {
  Json far = ourselves();
  far["host"] = "elsewhere";
  somebody_left(far);
  EXPECT_THAT(refusal(), HasSubstr("on elsewhere"));
  somebody_left(far, RunLock::kStaleSeconds + 5);
  EXPECT_EQ(refusal(), "taken");
}

TEST_F(RunLockTest, rubbish_is_stale_once_it_is_old) {
  for (const Json& rubbish : {Json("x"), Json{{"host", 3}}, Json{{"host", host_name()}}}) {
    somebody_left(rubbish);
    EXPECT_THAT(refusal(), HasSubstr("just starting"));
    somebody_left(rubbish, 60);
    EXPECT_EQ(refusal(), "taken");
  }
}

TEST_F(RunLockTest, that_was_taken_over_is_not_removed) {
  {
    RunLock lock(run());
    somebody_left(ourselves());
  }
  EXPECT_TRUE(std::filesystem::exists(file()));
}

}  // namespace
}  // namespace assay::supervise
