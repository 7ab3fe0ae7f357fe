#include "results/board/bootstrap.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <vector>

#include "harness/core/error.h"
#include "harness/core/philox.h"

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
                   [](double w) { return std::isfinite(w) && w > 0; })) {
    throw Error(ErrorKind::kData, "samples cannot be weighted: some weights are not positive");
  }
  const auto finite = [](double v) { return std::isfinite(v); };
  if (!std::all_of(left.begin(), left.end(), finite) ||
      !std::all_of(right.begin(), right.end(), finite)) {
    throw Error(ErrorKind::kData, "samples cannot be compared: some values are not finite");
  }
}

double applied(Statistic statistic, double sum, double weight) {
  const double mean = sum / weight;
  return statistic == Statistic::kExpMean ? std::exp(mean) : mean;
}

double total(std::span<const double> values) {
  double sum = 0;
  for (const double value : values) sum += value;
  return sum;
}

}  // namespace

double quantile(std::span<const double> sorted, double q) {
  const double position = q * static_cast<double>(sorted.size() - 1);
  const auto below = static_cast<std::size_t>(position);
  const std::size_t above = std::min(below + 1, sorted.size() - 1);
  const double weight = position - static_cast<double>(below);
  return sorted[below] + weight * (sorted[above] - sorted[below]);
}

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
  std::vector<double> differences;
  differences.reserve(static_cast<std::size_t>(options.resamples));
  for (int r = 0; r < options.resamples; ++r) {
    Philox draw(options.seed, "paired bootstrap", static_cast<std::uint64_t>(r));
    double left_sum = 0, right_sum = 0, weight = 0;
    for (std::size_t i = 0; i < n; ++i) {
      const std::size_t sample = draw.below(n);
      left_sum += left[sample];
      right_sum += right[sample];
      weight += weights.empty() ? 1 : weights[sample];
    }
    differences.push_back(applied(statistic, left_sum, weight) -
                          applied(statistic, right_sum, weight));
  }
  std::sort(differences.begin(), differences.end());
  estimate.low = quantile(differences, (1 - options.level) / 2);
  estimate.high = quantile(differences, (1 + options.level) / 2);
  return estimate;
}

}  // namespace assay::results
