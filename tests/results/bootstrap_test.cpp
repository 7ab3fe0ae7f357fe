#include "results/board/bootstrap.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <utility>
#include <vector>

#include "harness/base/error.h"
#include "harness/formats/philox.h"
#include "results/board/resampling.h"

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
      std::vector<std::uint32_t> draw(40);
      Philox stream = resample_stream(5, static_cast<std::uint64_t>(r));
      draw_samples(stream, 40, draw);
      std::vector<double> left, right;
      for (const std::uint32_t sample : draw) {
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

__extension__ using Wide = unsigned __int128;

// The algorithm of the paper, one word at a time.
std::vector<std::uint32_t> drawn_naively(std::uint64_t seed, std::uint64_t index, std::uint64_t n,
                                         int batch, std::size_t count) {
  Philox stream(seed, "paired bootstrap", index);
  std::uint64_t product = 1;
  for (int k = 0; k < batch; ++k) product *= n;
  std::vector<std::uint32_t> indices;
  while (indices.size() < count) {
    std::uint64_t rest = stream.next64();
    std::vector<std::uint32_t> numbers;
    for (int k = 0; k < batch; ++k) {
      const Wide wide = static_cast<Wide>(rest) * n;
      numbers.push_back(static_cast<std::uint32_t>(wide >> 64));
      rest = static_cast<std::uint64_t>(wide);
    }
    if (rest < (0 - product) % product) continue;
    indices.insert(indices.end(), numbers.begin(), numbers.end());
  }
  indices.resize(count);
  return indices;
}

TEST(draw_samples, agrees_with_the_same_algorithm_word_by_word) {
  for (const auto& [n, batch] : {std::pair<std::uint64_t, int>{7, 4},
                                 {10'000, 4},
                                 {16'383, 4},
                                 {16'384, 2},
                                 {268'435'455, 2},
                                 {4'000'000'000, 1}}) {
    for (const std::size_t count : {1, 5, 255, 256, 1000, 40'001}) {
      std::vector<std::uint32_t> drawn(count);
      Philox stream = resample_stream(3, 17);
      draw_samples(stream, n, drawn);
      EXPECT_EQ(drawn, drawn_naively(3, 17, n, batch, count)) << n << " " << count;
    }
  }
}

TEST(draw_samples, every_sample_is_as_likely_as_another) {
  std::vector<std::uint32_t> drawn(100'000);
  Philox stream = resample_stream(1, 0);
  draw_samples(stream, 10, drawn);
  std::vector<double> counts(10);
  for (const std::uint32_t sample : drawn) ++counts.at(sample);
  double chi_squared = 0;
  for (const double count : counts) chi_squared += (count - 1e4) * (count - 1e4) / 1e4;
  EXPECT_LT(chi_squared, 27.9);  // 9 degrees of freedom, p = 0.001
}

// 0 and 1 are drawn as counts, other values one by one; the same values with a grain of noise give
// the interval by the other way.
TEST(paired_bootstrap, drawing_counts_gives_the_interval_of_drawing_samples) {
  Philox stream(4, "flags");
  std::vector<double> a, b, a_noisy, b_noisy;
  for (int i = 0; i < 400; ++i) {
    a.push_back(stream.uniform() < 0.8);
    b.push_back(stream.uniform() < 0.3 ? 0 : a.back());
    a_noisy.push_back(a.back() + 1e-9 * stream.uniform());
    b_noisy.push_back(b.back() + 1e-9 * stream.uniform());
  }
  std::vector<double> weights(400, 2.0);
  for (const Statistic statistic : {Statistic::kMean, Statistic::kExpMean}) {
    const BootstrapOptions options{.resamples = 40'000};
    const auto counts = paired_bootstrap(a, b, statistic, options, weights);
    const auto samples = paired_bootstrap(a_noisy, b_noisy, statistic, options, weights);
    const double width = samples.high - samples.low;
    EXPECT_NEAR(counts.low, samples.low, 0.02 * width);
    EXPECT_NEAR(counts.high, samples.high, 0.02 * width);
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
  EXPECT_THROW(paired_bootstrap(two, two, Statistic::kMean, {}, std::vector<double>{1, -1}), Error);
}

TEST(seed_bootstrap, one_seed_is_the_paired_bootstrap) {
  const auto a = noise(1, 50, 0.2), b = noise(2, 50, 0);
  const BootstrapOptions options{.resamples = 100};
  const std::vector<std::vector<double>> left{a}, right{b};
  const auto seeds = seed_bootstrap(left, right, true, Statistic::kExpMean, options);
  const auto pair = paired_bootstrap(a, b, Statistic::kExpMean, options);
  EXPECT_EQ(seeds.difference, pair.difference);
  EXPECT_EQ(seeds.low, pair.low);
  EXPECT_EQ(seeds.high, pair.high);
}

// Seeds that differ by much more than samples do widen the interval, unless both sides share them.
TEST(seed_bootstrap, the_interval_holds_what_seeds_move) {
  std::vector<std::vector<double>> left, right;
  for (const double shift : {-1.0, 0.0, 1.0}) {
    left.push_back(noise(1, 300, shift + 0.5));
    right.push_back(noise(2, 300, shift));
  }
  const BootstrapOptions options{.resamples = 2000};
  const auto apart = seed_bootstrap(left, right, false, Statistic::kMean, options);
  const auto together = seed_bootstrap(left, right, true, Statistic::kMean, options);
  EXPECT_NEAR(apart.difference, together.difference, 1e-12);
  EXPECT_LT(together.high - together.low, 0.5);
  EXPECT_GT(apart.high - apart.low, 1.5);
  const std::vector<std::vector<double>> one{right[1]};
  EXPECT_NEAR(seed_bootstrap(left, one, false, Statistic::kMean, options).left, apart.left, 1e-12);
}

}  // namespace
}  // namespace assay::results
