#include <errno.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <stddef.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include <chrono>
#include <fstream>
#include <thread>

#include "tests/harness/supervise/supervisor_fixture.h"

// Providers and kernels that make it hard for a supervisor to keep its children in hand.

namespace assay::supervise {
namespace {

namespace fs = std::filesystem;
using ::testing::SizeIs;

constexpr const char* kSurvivalStart = R"(
import json, os, socket, subprocess, sys
s = socket.socket(fileno=3)
s.sendall(b'{"type": "hello", "protocol": 1, "provider": "odd", "pid": 1}\n')
run = json.loads(s.makefile().readline())
)";

// Hands the socket to children that fill it, and ends.
constexpr const char* kFlood = R"(
line = json.dumps({"type": "progress", "attempt": run["attempt"], "done": 1, "total": 2, "unit": "x"}).encode() + b'\n'
for i in range(2):
    if os.fork() == 0:
        if len(sys.argv) > 1: os.setsid()
        try:
            while True: s.sendall(line * 500)
        except OSError: os._exit(0)
os._exit(0)
)";

// Leaves a process that belongs to no session of ours, and dies.
constexpr const char* kEscape = R"(
child = subprocess.Popen(["sleep", "300"], start_new_session=True)
open(sys.argv[1], "w").write(str(child.pid))
os._exit(1)
)";

class SurvivalTest : public SupervisorTest {
 protected:
  Report run_script(const std::string& script, const std::string& argument = "") {
    options.providers["odd"] = {"python3", "-c", std::string(kSurvivalStart) + script};
    if (!argument.empty()) options.providers["odd"].push_back(argument);
    return run(stage("value", {}, 1, "odd"));
  }

  static std::vector<pid_t> numbers_in(const fs::path& file, std::size_t count) {
    std::vector<pid_t> found;
    for (int i = 0; i < 1000 && found.size() < count; ++i) {
      std::this_thread::sleep_for(std::chrono::milliseconds(10));
      std::ifstream stream(file);
      found.clear();
      for (pid_t pid = 0; stream >> pid;) found.push_back(pid);
    }
    return found;
  }

  static void expect_gone(pid_t pid) {
    for (int i = 0; i < 1000 && process_start(pid) != 0; ++i)
      std::this_thread::sleep_for(std::chrono::milliseconds(10));
    EXPECT_EQ(process_start(pid), 0u);
    if (process_start(pid) != 0) ::kill(pid, SIGKILL);
  }
};

TEST_F(SurvivalTest, children_that_flood_the_socket_of_a_dead_executor_do_not_keep_us_reading) {
  const double start = monotonic_seconds();
  const Report end = run_script(kFlood);
  EXPECT_EQ(end.error, ErrorKind::kCrash);
  EXPECT_LT(monotonic_seconds() - start, 10);
}

TEST_F(SurvivalTest, nor_do_those_that_left_its_session) {
  const double start = monotonic_seconds();
  EXPECT_EQ(run_script(kFlood, "setsid").error, ErrorKind::kCrash);
  EXPECT_LT(monotonic_seconds() - start, 10);
}

TEST_F(SurvivalTest, a_flood_of_progress_is_one_report) {
  std::size_t most = 0;
  options.providers["odd"] = {"python3", "-c", std::string(kSurvivalStart) + R"(
line = json.dumps({"type": "progress", "attempt": run["attempt"], "done": 1, "total": 2, "unit": "x"}).encode() + b'\n'
for i in range(400): s.sendall(line * 200)
s.sendall(json.dumps({"type": "done", "attempt": run["attempt"], "result": {}}).encode() + b'\n')
s.recv(1)
)"};
  supervisor().start(0, stage("value", {}, 1, "odd"));
  bool done = false;
  for (const double until = monotonic_seconds() + 120; !done && monotonic_seconds() < until;) {
    const auto reports = supervisor().poll(0.2);
    most = std::max(most, reports.size());
    for (const Report& each : reports) done = done || each.kind == ReportKind::kPublished;
  }
  EXPECT_TRUE(done);
  EXPECT_LT(most, 10u);
}

TEST_F(SurvivalTest, what_left_the_session_of_an_executor_ends_with_it) {
  const fs::path file = folder.path() / "pid";
  EXPECT_EQ(run_script(kEscape, file.string()).error, ErrorKind::kCrash);
  const auto pids = numbers_in(file, 1);
  ASSERT_THAT(pids, SizeIs(1));
  expect_gone(pids[0]);
}

TEST_F(SurvivalTest, grandchildren_end_with_a_supervisor_that_is_killed) {
  const fs::path file = folder.path() / "pids";
  options.providers["wrapper"] = {
      "sh", "-c",
      "sleep 300 & echo $! >> " + file.string() + "; setsid sleep 300 & echo $! >> " +
          file.string() + "; wait"};
  const pid_t child = ::fork();
  if (child == 0) {
    Supervisor mine(store, options);
    mine.warm("wrapper");
    for (;;) mine.poll(1);
  }
  const auto pids = numbers_in(file, 4);  // two slots
  ASSERT_THAT(pids, SizeIs(4));
  for (const pid_t pid : pids) EXPECT_NE(process_start(pid), 0u);
  ::kill(child, SIGKILL);
  int status = 0;
  ::waitpid(child, &status, 0);
  for (const pid_t pid : pids) expect_gone(pid);
}

// From here on pidfd_open fails in this process, as on old kernels and under old container profiles.
void refuse_pidfd_open() {
  sock_filter program[] = {
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr)),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_pidfd_open, 0, 1),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | ENOSYS),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW)};
  sock_fprog filter{sizeof program / sizeof program[0], program};
  if (::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 ||
      ::prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter) != 0)
    ::_exit(77);
}

TEST_F(SurvivalTest, without_a_pidfd_the_death_of_an_executor_is_still_seen) {
  const pid_t child = ::fork();
  if (child == 0) {
    refuse_pidfd_open();
    ::alarm(30);
    const Report crash = run(stage("crash"));
    const bool seen = crash.error == ErrorKind::kCrash && crash.record.signal == SIGABRT;
    options.stall_timeout_s = 0.5;
    ::_exit(seen && run(stage("value")).kind == ReportKind::kPublished ? 0 : 1);
  }
  int status = 0;
  ::waitpid(child, &status, 0);
  if (WIFEXITED(status) && WEXITSTATUS(status) == 77) GTEST_SKIP() << "no seccomp here";
  EXPECT_TRUE(WIFEXITED(status)) << "signal " << WTERMSIG(status);
  EXPECT_EQ(WEXITSTATUS(status), 0);
}

}  // namespace
}  // namespace assay::supervise
