#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <vector>

namespace assay::results {

// Called with the resamples done and wanted, some hundred times in all.
using BootstrapProgress = std::function<void(int done, int total)>;

struct BootstrapOptions {
  int resamples = 10000;
  std::uint64_t seed = 0;
  double level = 0.95;  // of the interval, in (0, 1)
  BootstrapProgress progress = {};
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
  double low = 0;  // percentile interval of the difference; NaN both: there is none, for one sample
                   // bounds nothing, nor do resamples that overflow or weigh nothing
  double high = 0;
};

// Paired bootstrap: each resample draws n samples with replacement and takes the statistic of both
// sides on the same draw (Efron and Tibshirani, "An Introduction to the Bootstrap", 1993, chapters
// 8 and 13). Resample r draws from Philox(seed, "paired bootstrap", r), so the result depends on
// the values, the options and nothing else. Percentiles interpolate linearly between order
// statistics. Pairs that take few distinct values (right or wrong on both sides) are drawn as
// counts: how often each value occurs among n draws is multinomial, so a resample costs a few
// binomial draws instead of n. `left`, `right`: equal length, finite. `weights`: empty, or as long
// and not negative: the mean is then the sum of values over the sum of weights (nats of windows
// over their tokens). Throws Error(kConfig) for bad options, Error(kData) for empty, unequal or
// non-finite samples.
PairedEstimate paired_bootstrap(std::span<const double> left, std::span<const double> right,
                                Statistic statistic, const BootstrapOptions& options = {},
                                std::span<const double> weights = {});

// The same for rows of a board that were repeated with several seeds: the value of a side is the
// mean over its seeds of each seed's statistic. Each resample draws seeds and samples, both with
// replacement, so the interval holds what seeds and samples move (a bootstrap in two levels,
// Davison and Hinkley, "Bootstrap Methods and their Application", 1997, section 3.8). `left`,
// `right`: the samples of each seed, all of one length. `seeds_match`: both sides have the same
// seeds in the same order, which are then drawn together. With one seed on both sides it is
// paired_bootstrap. Throws as that.
PairedEstimate seed_bootstrap(std::span<const std::vector<double>> left,
                              std::span<const std::vector<double>> right, bool seeds_match,
                              Statistic statistic, const BootstrapOptions& options = {},
                              std::span<const double> weights = {});

}  // namespace assay::results
