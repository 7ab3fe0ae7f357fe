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

// What this process does itself is no load of others.
TEST(OtherLoad, own_work_is_taken_off) {
  const OtherLoad::Reading begin = {.wall_s = 10, .own_s = 1, .busy_s = 100};
  const OtherLoad::Reading end = {.wall_s = 12, .own_s = 3, .busy_s = 105};
  EXPECT_DOUBLE_EQ(*OtherLoad::between(begin, end, 0), 1.5);
  EXPECT_DOUBLE_EQ(*OtherLoad::between(begin, end, 1), 1.0);
  EXPECT_DOUBLE_EQ(*OtherLoad::between(begin, end, 9), 0);
  EXPECT_EQ(OtherLoad::between(begin, {.wall_s = 12, .own_s = 3, .busy_s = {}}, 0), std::nullopt);
}

TEST(OtherLoad, another_process_counts) {
  // A tick of each processor is taken off.
  const auto time = std::chrono::milliseconds(700 + 30 * ::sysconf(_SC_NPROCESSORS_ONLN));
  const pid_t child = ::fork();
  if (child == 0) {
    while (true) {
    }
  }
  const OtherLoad beside;
  std::this_thread::sleep_for(time);
  const std::optional<double> during = beside.processors();
  ::kill(child, SIGKILL);
  ::waitpid(child, nullptr, 0);
  ASSERT_TRUE(during) << "/proc/stat";
  EXPECT_GE(*during, 0.3);  // other programs on the machine that tests run on only add to it
}

TEST(OtherLoad, ticks_of_a_moment_are_no_load) {
  const OtherLoad now;
  const std::optional<double> processors = now.processors();
  ASSERT_TRUE(processors);
  EXPECT_EQ(*processors, 0);
}

}  // namespace
}  // namespace assay::evaluate
