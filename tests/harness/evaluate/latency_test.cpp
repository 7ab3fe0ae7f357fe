#include "harness/evaluate/latency.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <vector>

namespace assay::evaluate {
namespace {

// A clock that each run turns on by the next of its durations, the last for ever.
class Scripted {
 public:
  explicit Scripted(std::vector<double> durations) : durations_(std::move(durations)) {}
  Latency measure(const LatencyProtocol& protocol) {
    return measure_latency(
        [&] {
          now_ += durations_[std::min(next_, durations_.size() - 1)];
          ++next_;
        },
        protocol, [&] { return now_; });
  }

 private:
  std::vector<double> durations_;
  std::size_t next_ = 0;
  double now_ = 100;
};

TEST(Latency, warming_up_ends_once_two_groups_agree) {
  const Latency latency =
      Scripted({5, 5, 5, 5, 5, 1}).measure({.repetitions = 20, .warmup_s = 100});
  EXPECT_EQ(latency.warmup_runs, 15);
  EXPECT_TRUE(latency.stable);
  EXPECT_EQ(latency.seconds.size(), 20u);
  EXPECT_EQ(latency.median_s, 1);
}

TEST(Latency, warming_up_that_never_settles_is_cut_and_said) {
  std::vector<double> growing;
  for (int i = 0; i < 1000; ++i) {
    growing.push_back(0.01 * (1 + i));
  }
  const Latency latency =
      Scripted(growing).measure({.repetitions = 5, .warmup_s = 1, .max_s = 100});
  EXPECT_FALSE(latency.stable);
  EXPECT_LT(latency.warmup_runs, 20);
}

TEST(Latency, repetitions_stop_at_the_time_limit_but_not_before_five) {
  EXPECT_EQ(Scripted({1}).measure({.repetitions = 50, .warmup_s = 0, .max_s = 8}).seconds.size(),
            8u);
  EXPECT_EQ(Scripted({9}).measure({.repetitions = 50, .warmup_s = 0, .max_s = 8}).seconds.size(),
            5u);
}

TEST(Latency, the_interval_holds_the_median_and_percentiles_are_in_order) {
  std::vector<double> durations;
  for (int i = 0; i < 60; ++i) {
    durations.push_back(1 + 0.001 * ((i * 37) % 60));
  }
  const Latency latency =
      Scripted(durations).measure({.repetitions = 50, .warmup_s = 0, .max_s = 1e9});
  EXPECT_LE(latency.p10_s, latency.low_s);
  EXPECT_LE(latency.low_s, latency.median_s);
  EXPECT_LE(latency.median_s, latency.high_s);
  EXPECT_LE(latency.high_s, latency.p90_s);
}

}  // namespace
}  // namespace assay::evaluate
