#pragma once

#include <cstdint>
#include <span>

namespace assay::results {

struct BootstrapOptions {
  int resamples = 10000;
  std::uint64_t seed = 0;
  double level = 0.95;  // of the interval, in (0, 1)
};

enum class Statistic {
  kMean,
  kExpMean  // perplexity of negative log-likelihoods
};

struct PairedEstimate {
  std::int64_t n = 0;
  double left = 0;
  double right = 0;
  double difference = 0;  // left - right
  double low = 0;         // percentile interval of the difference
  double high = 0;
};

// Paired bootstrap: each resample draws n samples with replacement and takes the statistic of both
// sides on the same draw (Efron and Tibshirani, "An Introduction to the Bootstrap", 1993, chapters
// 8 and 13). Resample r draws from Philox(seed, "paired bootstrap", r), so the result depends on
// the values, the options and nothing else. Percentiles interpolate linearly between order
// statistics. `left`, `right`: equal length, finite. `weights`: empty, or as long and positive: the
// mean is then the sum of values over the sum of weights (nats of windows over their tokens).
// Throws Error(kConfig) for bad options, Error(kData) for empty, unequal or non-finite samples.
PairedEstimate paired_bootstrap(std::span<const double> left, std::span<const double> right,
                                Statistic statistic, const BootstrapOptions& options = {},
                                std::span<const double> weights = {});

// The q-quantile (0..1) of sorted values, interpolated linearly.
double quantile(std::span<const double> sorted, double q);

}  // namespace assay::results
