#include "harness/supervise/death.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>

namespace assay::supervise {
namespace {

using ::testing::HasSubstr;

// Wait statuses as Linux encodes them.
constexpr int exited(int code) { return code << 8; }
constexpr int signalled(int number) { return number; }

TEST(Death, an_exit_code_is_a_crash_even_if_it_is_zero) {
  for (const int code : {0, 3}) {
    const Death death = classify_death(exited(code), 0);
    EXPECT_EQ(death.kind, ErrorKind::kCrash);
    EXPECT_EQ(death.exit_code, code);
    EXPECT_EQ(death.signal, 0);
    EXPECT_THAT(death.message, HasSubstr("exit code " + std::to_string(code)));
  }
}

TEST(Death, a_fault_is_a_crash_with_its_signal) {
  const Death death = classify_death(signalled(SIGSEGV), 1);
  EXPECT_EQ(death.kind, ErrorKind::kCrash);
  EXPECT_EQ(death.signal, SIGSEGV);
  EXPECT_EQ(death.exit_code, -1);
  EXPECT_THAT(death.message, HasSubstr("signal 11 (Segmentation fault)"));
}

TEST(Death, sigkill_is_oom_if_the_cgroup_says_so_and_lost_otherwise) {
  EXPECT_EQ(classify_death(signalled(SIGKILL), 1).kind, ErrorKind::kOom);
  EXPECT_EQ(classify_death(signalled(SIGKILL), 0).kind, ErrorKind::kLost);
}

TEST(Death, the_count_of_oom_kills_can_be_read_or_is_zero) { EXPECT_GE(cgroup_oom_kills(), 0); }

}  // namespace
}  // namespace assay::supervise
