#include "harness/evaluate/other_load.h"

#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <csignal>
#include <thread>

namespace assay::evaluate {
namespace {

TEST(OtherLoad, busy_time_is_all_but_idle_and_waiting) {
  EXPECT_EQ(busy_seconds("cpu  100 20 30 9000 800 4 6 0 0 0", 100), 1.6);
  EXPECT_EQ(busy_seconds("cpu0 100 20 30 9000 800 4 6 0 0 0", 100), std::nullopt);
  EXPECT_EQ(busy_seconds("cpu 100 20", 100), std::nullopt);
  EXPECT_EQ(busy_seconds("", 100), std::nullopt);
}

// What this process does itself is no load of others; what another does is.
TEST(OtherLoad, another_process_counts_and_this_one_does_not) {
  const auto spin = [](std::chrono::milliseconds time) {
    const auto end = std::chrono::steady_clock::now() + time;
    while (std::chrono::steady_clock::now() < end) {
    }
  };
  const OtherLoad alone;
  spin(std::chrono::milliseconds(700));
  const std::optional<double> before = alone.processors();
  const pid_t child = ::fork();
  if (child == 0) {
    while (true) {
    }
  }
  const OtherLoad beside;
  std::this_thread::sleep_for(std::chrono::milliseconds(700));
  const std::optional<double> during = beside.processors();
  ::kill(child, SIGKILL);
  ::waitpid(child, nullptr, 0);
  ASSERT_TRUE(before && during) << "/proc/stat";
  // Other programs on the machine that tests run on only add to both.
  EXPECT_GE(*during, 0.3);
  EXPECT_GE(*before, 0.0);
}

TEST(OtherLoad, ticks_of_a_moment_are_no_load) {
  const OtherLoad now;
  const std::optional<double> processors = now.processors();
  ASSERT_TRUE(processors);
  EXPECT_EQ(*processors, 0);
}

}  // namespace
}  // namespace assay::evaluate
