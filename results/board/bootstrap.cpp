#include "results/board/bootstrap.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>
#include <random>
#include <tuple>
#include <vector>

#include "harness/base/error.h"
#include "harness/base/quantile.h"
#include "harness/formats/philox.h"
#include "results/board/resampling.h"

namespace assay::results {
namespace {

constexpr int kMaxResamples = 10'000'000;

void check(std::span<const double> left, std::span<const double> right,
           std::span<const double> weights, const BootstrapOptions& options) {
  if (options.resamples < 1 || options.resamples > kMaxResamples) {
    throw Error(ErrorKind::kConfig, fmt::format("bootstrap of {} resamples; legal: 1 to {}",
                                                options.resamples, kMaxResamples));
  }
  if (!(options.level > 0 && options.level < 1)) {
    throw Error(ErrorKind::kConfig,
                fmt::format("interval level {}; legal: between 0 and 1", options.level));
  }
  if (left.size() != right.size()) {
    throw Error(ErrorKind::kData, fmt::format("samples cannot be paired: {} and {} values",
                                              left.size(), right.size()));
  }
  if (left.empty()) throw Error(ErrorKind::kData, "samples cannot be compared: there are none");
  if (!weights.empty() && weights.size() != left.size()) {
    throw Error(ErrorKind::kData, fmt::format("samples cannot be weighted: {} values, {} weights",
                                              left.size(), weights.size()));
  }
  if (!std::all_of(weights.begin(), weights.end(),
                   [](double w) { return std::isfinite(w) && w >= 0; })) {
    throw Error(ErrorKind::kData, "samples cannot be weighted: some weights are negative");
  }
  const auto finite = [](double v) { return std::isfinite(v); };
  if (!std::all_of(left.begin(), left.end(), finite) ||
      !std::all_of(right.begin(), right.end(), finite)) {
    throw Error(ErrorKind::kData, "samples cannot be compared: some values are not finite");
  }
}

// Pairs with at most this many distinct values are drawn as counts.
constexpr std::size_t kFewValues = 16;

struct Sums {
  double left = 0;
  double right = 0;
  double weight = 0;
};

double applied(Statistic statistic, double sum, double weight) {
  const double mean = sum / weight;
  return statistic == Statistic::kExpMean ? std::exp(mean) : mean;
}

double difference(Statistic statistic, const Sums& sums) {
  return applied(statistic, sums.left, sums.weight) - applied(statistic, sums.right, sums.weight);
}

// Philox as the standard library's distributions want it.
struct Words {
  using result_type = std::uint64_t;
  static constexpr result_type min() { return 0; }
  static constexpr result_type max() { return std::numeric_limits<result_type>::max(); }
  result_type operator()() { return stream.next64(); }
  Philox stream;
};

// A value that pairs have, and how many have it.
struct CountedValue {
  Sums value;
  std::int64_t count = 0;
};

// The distinct values of the pairs; empty if there are more than a few.
std::vector<CountedValue> few_values(std::span<const double> left, std::span<const double> right,
                                     std::span<const double> weights) {
  std::map<std::tuple<double, double, double>, std::int64_t> counts;
  for (std::size_t i = 0; i < left.size(); ++i) {
    ++counts[{left[i], right[i], weights.empty() ? 1 : weights[i]}];
    if (counts.size() > kFewValues) return {};
  }
  std::vector<CountedValue> values;
  for (const auto& [value, count] : counts) {
    const auto& [l, r, w] = value;
    values.push_back({{l, r, w}, count});
  }
  return values;
}

// Sums of n draws: multinomial counts, one binomial after the other.
Sums drawn_counts(const std::vector<CountedValue>& values, std::int64_t n, Words& words) {
  Sums sums;
  std::int64_t open = n, draws = n;  // pairs not looked at yet, draws not given out yet
  for (const CountedValue& each : values) {
    std::int64_t times = draws;
    if (each.count < open && draws > 0) {
      const double share = static_cast<double>(each.count) / static_cast<double>(open);
      times = std::binomial_distribution<std::int64_t>(draws, share)(words);
    }
    open -= each.count;
    draws -= times;
    const auto factor = static_cast<double>(times);
    sums.left += factor * each.value.left;
    sums.right += factor * each.value.right;
    sums.weight += factor * each.value.weight;
  }
  return sums;
}

double total(std::span<const double> values) {
  double sum = 0;
  for (const double value : values) sum += value;
  return sum;
}

// Fills the interval from difference_of(stream, indices) of each resample; `indices` has n places
// to draw into.
template <typename DifferenceOf>
void add_interval(PairedEstimate& estimate, const BootstrapOptions& options, std::size_t cost,
                  const DifferenceOf& difference_of) {
  std::vector<double> differences(static_cast<std::size_t>(options.resamples));
  in_parts(options.resamples, cost, [&](int from, int to, bool reports) {
    std::vector<std::uint32_t> indices(static_cast<std::size_t>(estimate.n));
    const int report_every = std::max(1, (to - from) / 200);
    for (int r = from; r < to; ++r) {
      if (reports && options.progress && (r - from) % report_every == 0)
        options.progress(r - from, to - from);
      Philox stream = resample_stream(options.seed, static_cast<std::uint64_t>(r));
      differences[static_cast<std::size_t>(r)] = difference_of(stream, indices);
    }
  });
  constexpr double kNone = std::numeric_limits<double>::quiet_NaN();
  estimate.low = estimate.high = kNone;
  const auto finite = [](double v) { return std::isfinite(v); };
  if (estimate.n < 2 || !std::all_of(differences.begin(), differences.end(), finite)) return;
  std::sort(differences.begin(), differences.end());
  estimate.low = quantile(differences, (1 - options.level) / 2);
  estimate.high = quantile(differences, (1 + options.level) / 2);
}

// The mean over seeds of each seed's statistic.
double mean_over_seeds(std::span<const std::vector<double>> seeds, Statistic statistic,
                       double weight) {
  double sum = 0;
  for (const auto& samples : seeds) sum += applied(statistic, total(samples), weight);
  return sum / static_cast<double>(seeds.size());
}

}  // namespace

PairedEstimate paired_bootstrap(std::span<const double> left, std::span<const double> right,
                                Statistic statistic, const BootstrapOptions& options,
                                std::span<const double> weights) {
  check(left, right, weights, options);
  const std::size_t n = left.size();
  const double all = weights.empty() ? static_cast<double>(n) : total(weights);
  PairedEstimate estimate{.n = static_cast<std::int64_t>(n),
                          .left = applied(statistic, total(left), all),
                          .right = applied(statistic, total(right), all)};
  estimate.difference = estimate.left - estimate.right;

  const std::vector<CountedValue> values = few_values(left, right, weights);
  if (!values.empty()) {
    add_interval(estimate, options, 20 * values.size(), [&](Philox& stream, auto&) {
      Words words{stream};
      return difference(statistic, drawn_counts(values, estimate.n, words));
    });
    return estimate;
  }
  if (statistic == Statistic::kMean && weights.empty()) {
    // A mean's difference is the mean of the differences: one sum instead of two.
    std::vector<double> paired(n);
    for (std::size_t i = 0; i < n; ++i) paired[i] = left[i] - right[i];
    add_interval(estimate, options, n, [&](Philox& stream, auto& indices) {
      draw_samples(stream, n, indices);
      return gathered(paired, indices) / static_cast<double>(n);
    });
    return estimate;
  }
  add_interval(estimate, options, 3 * n, [&](Philox& stream, auto& indices) {
    draw_samples(stream, n, indices);
    const double weight = weights.empty() ? static_cast<double>(n) : gathered(weights, indices);
    return difference(statistic, {gathered(left, indices), gathered(right, indices), weight});
  });
  return estimate;
}

PairedEstimate seed_bootstrap(std::span<const std::vector<double>> left,
                              std::span<const std::vector<double>> right, bool seeds_match,
                              Statistic statistic, const BootstrapOptions& options,
                              std::span<const double> weights) {
  if (left.empty() || right.empty()) throw Error(ErrorKind::kData, "a side without a seed");
  if (left.size() == 1 && right.size() == 1) {
    return paired_bootstrap(left[0], right[0], statistic, options, weights);
  }
  for (const auto& samples : left) check(samples, right[0], weights, options);
  for (const auto& samples : right) check(left[0], samples, weights, options);
  const std::size_t n = left[0].size();
  const double all = weights.empty() ? static_cast<double>(n) : total(weights);
  PairedEstimate estimate{.n = static_cast<std::int64_t>(n),
                          .left = mean_over_seeds(left, statistic, all),
                          .right = mean_over_seeds(right, statistic, all)};
  estimate.difference = estimate.left - estimate.right;
  const std::size_t cost = n * (left.size() + right.size());
  add_interval(estimate, options, cost, [&](Philox& stream, auto& indices) {
    std::vector<std::uint32_t> left_seeds(left.size()), right_seeds(right.size());
    draw_samples(stream, left.size(), left_seeds);
    if (seeds_match) {
      right_seeds = left_seeds;
    } else {
      draw_samples(stream, right.size(), right_seeds);
    }
    draw_samples(stream, n, indices);
    const double weight = weights.empty() ? static_cast<double>(n) : gathered(weights, indices);
    const auto side = [&](std::span<const std::vector<double>> seeds, const auto& drawn) {
      double sum = 0;
      for (const std::uint32_t seed : drawn) {
        sum += applied(statistic, gathered(seeds[seed], indices), weight);
      }
      return sum / static_cast<double>(drawn.size());
    };
    return side(left, left_seeds) - side(right, right_seeds);
  });
  return estimate;
}

}  // namespace assay::results
