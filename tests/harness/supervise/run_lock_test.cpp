#include "harness/supervise/run_lock.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>

#include "harness/base/atomic_file.h"
#include "harness/base/json.h"
#include "harness/supervise/host.h"
#include "harness/supervise/process_identity.h"
#include "tests/support/refusal.h"
#include "tests/support/temporary_folder.h"

namespace assay::supervise {
namespace {

using assay::testing::refusal;
using ::testing::AnyOf;
using ::testing::HasSubstr;
using ::testing::StartsWith;

class RunLockTest : public ::testing::Test {
 protected:
  void somebody_left(const Json& content, double silent_s = 0) {
    write_file_atomically(file(), content.dump());
    const timespec then{static_cast<time_t>(unix_seconds() - silent_s), 0};
    const timespec times[2]{then, then};
    ::utimensat(AT_FDCWD, file().c_str(), times, 0);
  }
  Json ourselves() const {
    Json json = to_json(this_process());
    json["token"] = "x";
    return json;
  }
  // What taking the lock gives; the environment is to blame if it is refused.
  std::string lock_error() const {
    const std::string error = refusal([&] { RunLock lock(run()); });
    EXPECT_THAT(error, AnyOf("no error", StartsWith("environment: ")));
    return error;
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
    EXPECT_THAT(lock_error(), HasSubstr("in use by process " + std::to_string(::getpid()) + " on " +
                                        host_name()));
  }
  EXPECT_FALSE(std::filesystem::exists(file()));
  EXPECT_EQ(lock_error(), "no error");
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
  EXPECT_EQ(lock_error(), "no error");
}

TEST_F(RunLockTest, of_a_number_that_is_used_again_is_stale) {
  Json reused = ourselves();
  reused["started"] = process_start(::getpid()) + 1;
  somebody_left(reused);
  EXPECT_EQ(lock_error(), "no error");
}

// Host names do not tell: containers share them, and machines are called localhost.
TEST_F(RunLockTest, of_a_process_that_cannot_be_seen_lives_by_its_heartbeat) {
  for (const char* member : {"boot_id", "pid_namespace"}) {
    Json far = ourselves();
    far[member] = "another";
    somebody_left(far);
    EXPECT_THAT(lock_error(), HasSubstr("on " + host_name() + " (cannot be checked from here"))
        << member;
    EXPECT_THAT(lock_error(), HasSubstr("taken over after 120 s"));
    somebody_left(far, RunLock::kStaleSeconds + 5);
    EXPECT_EQ(lock_error(), "no error") << member;
  }
}

TEST_F(RunLockTest, a_kill_leaves_no_empty_lock) {
  const int unnamed = ::open(run().c_str(), O_WRONLY | O_TMPFILE | O_CLOEXEC, 0644);
  if (unnamed < 0) GTEST_SKIP() << "this file system has no files without a name";
  ::close(unnamed);
  for (int round = 0; round < 100; ++round) {
    const pid_t child = ::fork();
    if (child == 0) {
      while (true) RunLock lock(run());
    }
    ::usleep(static_cast<useconds_t>(500 + 37 * round));
    ::kill(child, SIGKILL);
    ::waitpid(child, nullptr, 0);
    struct stat status {};
    if (::stat(file().c_str(), &status) == 0) {
      ASSERT_GT(status.st_size, 0) << round;
      ::unlink(file().c_str());
    }
  }
}

TEST_F(RunLockTest, that_is_empty_is_stale_once_it_is_old) {
  write_file_atomically(file(), "");
  EXPECT_THAT(lock_error(), HasSubstr("taken over 10 s after"));
  const timespec then{static_cast<time_t>(unix_seconds() - 60), 0};
  const timespec times[2]{then, then};
  ::utimensat(AT_FDCWD, file().c_str(), times, 0);
  EXPECT_EQ(lock_error(), "no error");
}

TEST_F(RunLockTest, that_is_no_file_is_refused_with_the_mend) {
  std::filesystem::create_symlink("nowhere", file());
  EXPECT_THAT(lock_error(),
              HasSubstr("is a symbolic link, not the lock that a run makes; remove it"));
  std::filesystem::remove(file());
  std::filesystem::create_directory(file());
  EXPECT_THAT(lock_error(), HasSubstr("no regular file"));
}

TEST_F(RunLockTest, has_a_token_of_its_own) {
  const RunLock one(run());
  const RunLock other(folder.path() / "other");
  EXPECT_NE(one.token(), other.token());
  EXPECT_EQ(parse_json(read_file(file()), "lock").at("token"), one.token());
}

TEST_F(RunLockTest, rubbish_is_stale_once_it_is_old) {
  for (const Json& rubbish : {Json("x"), Json{{"host", 3}}, Json{{"host", host_name()}}}) {
    somebody_left(rubbish);
    EXPECT_THAT(lock_error(), HasSubstr("just starting"));
    somebody_left(rubbish, 60);
    EXPECT_EQ(lock_error(), "no error");
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
