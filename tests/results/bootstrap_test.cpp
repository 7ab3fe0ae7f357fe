#include "results/board/bootstrap.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <vector>

#include "harness/core/error.h"
#include "harness/core/philox.h"

namespace assay::results {
namespace {

std::vector<double> noise(std::uint64_t seed, std::size_t n, double shift) {
  Philox stream(seed, "noise");
  std::vector<double> values;
  for (std::size_t i = 0; i < n; ++i) values.push_back(stream.normal() + shift);
  return values;
}

TEST(paired_bootstrap, agrees_with_a_naive_double_loop) {
  const auto a = noise(1, 40, 0.3), b = noise(2, 40, 0);
  const BootstrapOptions options{.resamples = 200, .seed = 5, .level = 0.9};
  for (const Statistic statistic : {Statistic::kMean, Statistic::kExpMean}) {
    std::vector<double> differences;
    for (int r = 0; r < 200; ++r) {
      Philox draw(5, "paired bootstrap", static_cast<std::uint64_t>(r));
      std::vector<double> left, right;
      for (int i = 0; i < 40; ++i) {
        const auto sample = static_cast<std::size_t>(draw.below(40));
        left.push_back(a[sample]);
        right.push_back(b[sample]);
      }
      double left_mean = 0, right_mean = 0;
      for (int i = 0; i < 40; ++i) {
        left_mean += left[static_cast<std::size_t>(i)] / 40;
        right_mean += right[static_cast<std::size_t>(i)] / 40;
      }
      differences.push_back(statistic == Statistic::kMean
                                ? left_mean - right_mean
                                : std::exp(left_mean) - std::exp(right_mean));
    }
    std::sort(differences.begin(), differences.end());
    const PairedEstimate e = paired_bootstrap(a, b, statistic, options);
    // position 0.05 * 199 = 9.95: between the 10th and 11th value
    EXPECT_NEAR(e.low, 0.05 * differences[9] + 0.95 * differences[10], 1e-12);
    EXPECT_NEAR(e.high, 0.95 * differences[189] + 0.05 * differences[190], 1e-12);
  }
}

TEST(paired_bootstrap, the_same_seed_gives_the_same_bits_and_another_does_not) {
  const auto a = noise(1, 100, 0.1), b = noise(2, 100, 0);
  const auto first = paired_bootstrap(a, b, Statistic::kMean, {.resamples = 300, .seed = 1});
  const auto again = paired_bootstrap(a, b, Statistic::kMean, {.resamples = 300, .seed = 1});
  const auto other = paired_bootstrap(a, b, Statistic::kMean, {.resamples = 300, .seed = 2});
  EXPECT_EQ(first.low, again.low);
  EXPECT_EQ(first.high, again.high);
  EXPECT_NE(first.low, other.low);
}

TEST(paired_bootstrap, pairing_removes_what_both_sides_share) {
  const auto a = noise(1, 200, 0);
  std::vector<double> b = a;
  for (double& value : b) value -= 0.01;
  const PairedEstimate e = paired_bootstrap(a, b, Statistic::kMean, {.resamples = 100});
  EXPECT_NEAR(e.difference, 0.01, 1e-12);
  EXPECT_NEAR(e.low, 0.01, 1e-9);
  EXPECT_NEAR(e.high, 0.01, 1e-9);
}

TEST(paired_bootstrap, covers_the_true_difference_about_as_often_as_it_says) {
  int covered = 0;
  constexpr int kTrials = 150;
  for (std::uint64_t t = 0; t < kTrials; ++t) {
    const auto a = noise(10 + t, 60, 0.5), b = noise(5000 + t, 60, 0);
    const auto e = paired_bootstrap(a, b, Statistic::kMean, {.resamples = 200, .seed = t});
    covered += e.low <= 0.5 && 0.5 <= e.high;
  }
  EXPECT_GT(covered, kTrials * 88 / 100);
  EXPECT_LT(covered, kTrials * 99 / 100);
}

TEST(paired_bootstrap, samples_that_cannot_be_paired_are_an_error) {
  const std::vector<double> two = {1, 2}, three = {1, 2, 3}, none;
  const std::vector<double> bad = {1, std::nan("")};
  EXPECT_THROW(paired_bootstrap(two, three, Statistic::kMean), Error);
  EXPECT_THROW(paired_bootstrap(none, none, Statistic::kMean), Error);
  EXPECT_THROW(paired_bootstrap(two, bad, Statistic::kMean), Error);
  EXPECT_THROW(paired_bootstrap(two, two, Statistic::kMean, {.resamples = 0}), Error);
  EXPECT_THROW(paired_bootstrap(two, two, Statistic::kMean, {.level = 1}), Error);
  EXPECT_THROW(paired_bootstrap(two, two, Statistic::kMean, {}, three), Error);
  EXPECT_THROW(paired_bootstrap(two, two, Statistic::kMean, {}, std::vector<double>{1, 0}), Error);
}

}  // namespace
}  // namespace assay::results
