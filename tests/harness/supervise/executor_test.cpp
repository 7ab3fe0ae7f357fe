#include "harness/supervise/executor.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <cstdlib>
#include <thread>

#include "harness/base/error.h"
#include "harness/supervise/host.h"
#include "tests/support/refusal.h"
#include "tests/support/temporary_folder.h"

namespace assay::supervise {
namespace {

using assay::testing::refusal;
using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;

Death wait_for(Executor& executor) {
  for (int i = 0; i < 1000; ++i) {
    if (const auto death = executor.reap()) return *death;
    pollfd ended{executor.pidfd(), POLLIN, 0};
    ::poll(&ended, 1, 10);
  }
  ADD_FAILURE() << "it lives on";
  return {};
}

std::string printed_by(const std::string& script) {
  Executor executor({{"sh", "-c", script}, {{"GIVEN", "yes"}}}, "test", "");
  wait_for(executor);
  return executor.output(0, executor.output_bytes());
}

TEST(Executor, inherits_three_descriptors_and_the_socket_only) {
  EXPECT_EQ(printed_by("echo $ASSAY_FD; ls /proc/$$/fd; true"), "3\n0\n1\n2\n3\n")
      << "a descriptor leaked";
  EXPECT_EQ(printed_by("readlink /proc/self/fd/0"), "/dev/null\n");
}

TEST(Executor, gets_a_cleaned_environment) {
  ::setenv("OMPI_COMM_WORLD_RANK", "3", 1);
  ::setenv("PMIX_RANK", "3", 1);
  ::setenv("SLURM_STEP_ID", "1", 1);
  ::setenv("SLURM_JOB_ID", "77", 1);
  const std::string output = printed_by("env; echo noise >&2");
  EXPECT_THAT(output, Not(HasSubstr("OMPI_COMM")));
  EXPECT_THAT(output, Not(HasSubstr("PMIX_RANK")));
  EXPECT_THAT(output, Not(HasSubstr("SLURM_STEP_ID")));
  EXPECT_THAT(output, HasSubstr("SLURM_JOB_ID=77"));
  EXPECT_THAT(output, HasSubstr("GIVEN=yes"));
  EXPECT_THAT(output, HasSubstr("noise"));
}

TEST(Executor, is_a_session_of_its_own_that_ignores_the_signals_of_a_job) {
  ::signal(SIGPIPE, SIG_IGN);
  EXPECT_EQ(printed_by("ps -o pgid= -p $$ | tr -d ' ' | grep -qx $$ && echo leader"), "leader\n");
  EXPECT_EQ(printed_by("ps -o sid= -p $$ | tr -d ' ' | grep -qx $$ && echo leader"), "leader\n")
      << "with a session of its own it has no terminal to hang on";
  // SIGHUP, SIGINT, SIGUSR1 and SIGTERM go to every process of a job; the supervisor acts on them.
  EXPECT_THAT(printed_by("grep SigIgn /proc/self/status"), HasSubstr("0000000000004203"));
  ::signal(SIGPIPE, SIG_DFL);
}

TEST(Executor, that_cannot_start_is_an_environment_error) {
  for (const char* program : {"no-such-program-here", "/no/such/program", "/etc/passwd"}) {
    EXPECT_THAT(refusal([&] {
                  Executor executor({{program}, {}}, "test", "");
                }),
                AllOf(StartsWith("environment: "), HasSubstr(program)));
  }
}

TEST(Executor, without_descriptors_left_says_so) {
  rlimit before{};
  ASSERT_EQ(::getrlimit(RLIMIT_NOFILE, &before), 0);
  int failures = 0;
  for (rlim_t most = 4; most < 40; ++most) {
    const rlimit few{most, before.rlim_max};
    ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &few), 0);
    const std::string refused = refusal([] { Executor executor({{"true"}, {}}, "test", ""); });
    if (refused == "no error") continue;
    ++failures;
    EXPECT_THAT(refused, HasSubstr("Too many open files")) << most;
    EXPECT_THAT(refused, HasSubstr("ulimit -n")) << most;
  }
  ::setrlimit(RLIMIT_NOFILE, &before);
  EXPECT_GT(failures, 0);
}

TEST(Executor, ends_are_told_apart_although_we_were_started_with_sigchld_ignored) {
  ::signal(SIGCHLD, SIG_IGN);
  Executor left({{"sh", "-c", "exit 3"}, {}}, "test", "");
  EXPECT_EQ(wait_for(left).exit_code, 3);
  ::signal(SIGCHLD, SIG_DFL);
}

TEST(Executor, ends_are_told_apart) {
  Executor left({{"sh", "-c", "exit 3"}, {}}, "test", "");
  EXPECT_EQ(wait_for(left).exit_code, 3);
  Executor aborted({{"sh", "-c", "kill -ABRT $$"}, {}}, "test", "");
  EXPECT_EQ(wait_for(aborted).signal, SIGABRT);
  Executor taken({{"sleep", "60"}, {}}, "test", "");
  ::kill(taken.pid(), SIGKILL);
  EXPECT_EQ(wait_for(taken).kind, ErrorKind::kLost);
  EXPECT_GT(taken.peak_memory_bytes(), 0);
  EXPECT_GE(taken.cpu_s(), 0);
}

TEST(Executor, takes_its_children_along) {
  TemporaryFolder folder;
  const std::string file = (folder.path() / "pid").string();
  pid_t grandchild = 0;
  {
    Executor executor({{"sh", "-c", "sleep 60 & echo $! > " + file + "; wait"}, {}}, "test", "");
    for (int i = 0; i < 500 && grandchild == 0; ++i) {
      std::this_thread::sleep_for(std::chrono::milliseconds(10));
      if (std::FILE* stream = std::fopen(file.c_str(), "r")) {
        if (std::fscanf(stream, "%d", &grandchild) != 1) grandchild = 0;
        std::fclose(stream);
      }
    }
    ASSERT_GT(grandchild, 0);
  }
  for (int i = 0; i < 300 && process_start(grandchild) != 0; ++i)
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  EXPECT_EQ(process_start(grandchild), 0u);
}

TEST(Executor, dies_with_a_supervisor_that_is_killed) {
  TemporaryFolder folder;
  int ends[2];
  ASSERT_EQ(::pipe(ends), 0);
  const pid_t supervisor = ::fork();
  if (supervisor == 0) {
    // A provider that never looks at its socket.
    Executor executor({{"sleep", "60"}, {}}, "test", "");
    const pid_t pid = executor.pid();
    [[maybe_unused]] const ssize_t n = ::write(ends[1], &pid, sizeof pid);
    ::pause();
  }
  pid_t executor = 0;
  ASSERT_EQ(::read(ends[0], &executor, sizeof executor), static_cast<ssize_t>(sizeof executor));
  EXPECT_NE(process_start(executor), 0u);
  ::kill(supervisor, SIGKILL);
  int status = 0;
  ::waitpid(supervisor, &status, 0);
  for (int i = 0; i < 300 && process_start(executor) != 0; ++i)
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  EXPECT_EQ(process_start(executor), 0u);
  ::close(ends[0]);
  ::close(ends[1]);
}

}  // namespace
}  // namespace assay::supervise
