#include "methods/train/schedule.h"

#include <gtest/gtest.h>

namespace assay::train {
namespace {

const Schedule kSchedule{.steps = 110, .warmup = 10, .peak = 1.0, .final = 0.1};

TEST(Schedule, rises_linearly_to_the_peak) {
  EXPECT_DOUBLE_EQ(kSchedule.at(0), 0.1);
  EXPECT_DOUBLE_EQ(kSchedule.at(4), 0.5);
  EXPECT_DOUBLE_EQ(kSchedule.at(9), 1.0);
}

TEST(Schedule, falls_by_half_a_cosine_to_the_final_rate) {
  EXPECT_DOUBLE_EQ(kSchedule.at(10), 1.0);
  EXPECT_DOUBLE_EQ(kSchedule.at(60), 0.55);  // halfway: the mean of both
  EXPECT_NEAR(kSchedule.at(35), 0.1 + 0.9 * 0.5 * (1 + 0.70710678118654752), 1e-15);
  EXPECT_DOUBLE_EQ(kSchedule.at(110), 0.1);
}

TEST(Schedule, begins_at_the_peak_without_a_warm_up) {
  EXPECT_DOUBLE_EQ((Schedule{.steps = 10, .warmup = 0, .peak = 2.0}).at(0), 2.0);
}

}  // namespace
}  // namespace assay::train
