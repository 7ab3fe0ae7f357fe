#include "harness/run/stop_signals.h"

#include <gtest/gtest.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include <functional>

namespace assay::run {
namespace {

// Signals change the process: each test does it in a child, which answers with its exit code.
int in_a_child(const std::function<int()>& work) {
  const pid_t child = ::fork();
  if (child == 0) ::_exit(work());
  int status = 0;
  ::waitpid(child, &status, 0);
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

constexpr StopSignal kTerm{SIGTERM, false};
constexpr StopSignal kInterrupt{SIGINT, false};
constexpr StopSignal kLauncher{SIGTERM, true};

TEST(stop_signals, arrive_in_a_descriptor_and_end_nothing) {
  EXPECT_EQ(in_a_child([] {
              StopSignals signals;
              if (signals.next()) return 1;
              for (const int number : {SIGINT, SIGTERM, SIGHUP, SIGUSR1}) {
                ::kill(::getpid(), number);
                const auto signal = signals.next();
                if (!signal || *signal != StopSignal{number, false}) return number;
              }
              return 0;
            }),
            0);
}

TEST(stop_signals, that_come_when_a_run_has_ended_do_not_change_its_exit_code) {
  EXPECT_EQ(in_a_child([] {
              { StopSignals signals; }
              ::kill(::getpid(), SIGTERM);
              return 7;
            }),
            7);
}

TEST(stop_signals, that_nohup_ignores_stay_ignored) {
  EXPECT_EQ(in_a_child([] {
              ::signal(SIGHUP, SIG_IGN);
              StopSignals signals;
              ::kill(::getpid(), SIGHUP);
              if (signals.next()) return 1;
              ::kill(::getpid(), SIGTERM);
              return signals.next() == kTerm ? 0 : 2;
            }),
            0);
}

TEST(stop_signals, of_mpirun_begin_with_its_sigcont) {
  // The parent of a rank is mpirun.
  ::setenv("OMPI_COMM_WORLD_SIZE", "2", 1);
  int ready[2];
  ASSERT_EQ(::pipe(ready), 0);
  const pid_t rank = ::fork();
  if (rank == 0) {
    StopSignals signals;
    ::kill(::getpid(), SIGCONT);  // not from mpirun
    if (signals.next()) ::_exit(2);
    [[maybe_unused]] const auto told = ::write(ready[1], "x", 1);
    pollfd waited{signals.descriptor(), POLLIN, 0};
    ::poll(&waited, 1, 10000);
    ::_exit(signals.next() == StopSignal{SIGCONT, true} ? 0 : 1);
  }
  char byte = 0;
  ASSERT_EQ(::read(ready[0], &byte, 1), 1);
  ::kill(rank, SIGCONT);
  int status = 0;
  ::waitpid(rank, &status, 0);
  ::unsetenv("OMPI_COMM_WORLD_SIZE");
  EXPECT_EQ(WEXITSTATUS(status), 0);
}

TEST(launcher_grace, is_what_mpirun_leaves_before_it_kills) {
  ::unsetenv("OMPI_MCA_odls_base_sigkill_timeout");
  EXPECT_DOUBLE_EQ(launcher_grace_s(), 1);
  ::setenv("OMPI_MCA_odls_base_sigkill_timeout", "10", 1);
  EXPECT_DOUBLE_EQ(launcher_grace_s(), 19);
  ::setenv("OMPI_MCA_odls_base_sigkill_timeout", "0", 1);
  EXPECT_GT(launcher_grace_s(), 0);
  ::unsetenv("OMPI_MCA_odls_base_sigkill_timeout");
}

TEST(stop_wishes, a_batch_system_that_repeats_itself_at_once_means_one_stop) {
  StopWishes wishes;
  EXPECT_EQ(wishes.take(kTerm, true, 100), StopWish::kCheckpoint);
  EXPECT_EQ(wishes.take(kTerm, true, 100.1), StopWish::kNone);
  EXPECT_EQ(wishes.take({SIGUSR1, false}, true, 102), StopWish::kNone);
  EXPECT_EQ(wishes.take(kTerm, true, 106), StopWish::kKill);
}

TEST(stop_wishes, every_rank_hears_of_one_stop) {
  StopWishes wishes;
  EXPECT_EQ(wishes.take(kInterrupt, false, 100), StopWish::kCheckpoint);
  EXPECT_EQ(wishes.take(kInterrupt, true, 100), StopWish::kNone);
  EXPECT_EQ(wishes.take(kInterrupt, false, 100.2), StopWish::kNone);
}

TEST(stop_wishes, somebody_who_types_twice_does_not_want_to_wait) {
  StopWishes wishes;
  EXPECT_EQ(wishes.take(kInterrupt, true, 100), StopWish::kCheckpoint);
  EXPECT_EQ(wishes.take(kInterrupt, true, 100.3), StopWish::kKill);
}

TEST(stop_wishes, mpirun_never_wishes_twice) {
  StopWishes wishes;
  EXPECT_EQ(wishes.take({SIGCONT, true}, true, 100), StopWish::kCheckpoint);
  EXPECT_EQ(wishes.take(kLauncher, true, 101), StopWish::kNone);
  EXPECT_EQ(wishes.take(kLauncher, false, 130), StopWish::kNone);
}

}  // namespace
}  // namespace assay::run
