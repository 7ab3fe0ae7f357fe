#include "results/board/compare.h"

#include <fmt/format.h>

#include <cmath>
#include <span>

#include "harness/base/error.h"
#include "harness/contract/catalogue.h"

namespace assay::results {
namespace {

[[noreturn]] void refuse_tensor(const SafetensorsFile& file, const std::string& name,
                                const std::string& problem) {
  throw Error(ErrorKind::kData,
              fmt::format("{}: tensor '{}' {}", file.path().string(), name, problem),
              {{"file", file.path().string()}, {"tensor", name}});
}

// [samples] of one seed.
std::vector<double> samples_of(const SafetensorsFile& file, const std::string& name,
                               std::int64_t n) {
  const TensorEntry& tensor = file.at(name);
  if (tensor.shape.size() != 1 || tensor.shape[0] != n) {
    refuse_tensor(
        file, name,
        fmt::format("cannot be paired: expected shape [{}], found [{}]",
                    n < 0 ? "samples" : std::to_string(n), fmt::join(tensor.shape, ", ")));
  }
  std::vector<double> values = file.values(name);
  for (std::size_t i = 0; i < values.size(); ++i) {
    if (std::isfinite(values[i])) continue;
    refuse_tensor(file, name, fmt::format("is {} at sample {}", values[i], i));
  }
  return values;
}

using Seeds = std::vector<std::vector<double>>;

Seeds samples_of(const SampleFiles& files, const std::string& name, std::int64_t n) {
  Seeds seeds;
  for (const auto& file : files) seeds.push_back(samples_of(*file, name, n));
  return seeds;
}

Flips flips_of(const std::vector<double>& left, const std::vector<double>& right) {
  Flips flips;
  for (std::size_t i = 0; i < left.size(); ++i) {
    if (left[i] > right[i]) ++flips.only_left;
    if (left[i] < right[i]) ++flips.only_right;
  }
  return flips;
}

// Two sides, and how their difference is drawn.
struct Sides {
  const SampleFiles& left;
  const SampleFiles& right;
  bool seeds_match;
  const BootstrapOptions& options;

  PairedEstimate estimate(const Seeds& a, const Seeds& b, Statistic statistic,
                          std::span<const double> weights = {}) const {
    return seed_bootstrap(a, b, seeds_match, statistic, options, weights);
  }
};

// Of one seed, for every file must hold the same.
std::vector<double> common_weights(const Sides& sides, const std::string& name, std::int64_t n) {
  const std::vector<double> weights = samples_of(*sides.left[0], name, n);
  for (const double weight : weights) {
    if (weight < 0)
      refuse_tensor(*sides.left[0], name, fmt::format("holds a weight of {}", weight));
  }
  for (const SampleFiles* files : {&sides.left, &sides.right}) {
    for (const auto& file : *files) {
      if (weights == samples_of(*file, name, n)) continue;
      refuse_tensor(*file, name,
                    "holds other weights than that of " + sides.left[0]->path().string());
    }
  }
  return weights;
}

void require_answers(const SampleFiles& files, const Seeds& seeds, const std::string& name) {
  for (std::size_t i = 0; i < seeds.size(); ++i) {
    for (const double value : seeds[i]) {
      if (value == 0 || value == 1) continue;
      refuse_tensor(
          *files[i], name,
          fmt::format("holds answers that are right (1) or wrong (0), and one is {}", value));
    }
  }
}

}  // namespace

Comparison compare_samples(const ResultRow& figure, const SampleFiles& left,
                           const SampleFiles& right, bool seeds_match,
                           const BootstrapOptions& options) {
  const Sides sides{left, right, seeds_match, options};
  const SampleValues samples = sample_values_from(figure.samples);
  const auto& shape = sides.left[0]->at(samples.tensor).shape;
  const std::int64_t n = shape.size() == 1 ? shape[0] : -1;
  Seeds a = samples_of(sides.left, samples.tensor, n),
        b = samples_of(sides.right, samples.tensor, n);
  Comparison comparison{.metric = figure.metric,
                        .where = figure.data + "/" + figure.split,
                        .name = figure.name,
                        .unit = figure.unit,
                        .higher_is_better = figure.higher_is_better};
  if (samples.statistic == SampleStatistic::kShare) {
    require_answers(sides.left, a, samples.tensor);
    require_answers(sides.right, b, samples.tensor);
    if (a.size() == 1 && b.size() == 1) comparison.flips = flips_of(a[0], b[0]);
    for (Seeds* side : {&a, &b}) {
      for (auto& seed : *side) {
        for (double& value : seed) value *= 100;
      }
    }
  }
  const std::vector<double> weights =
      samples.weights.empty() ? std::vector<double>() : common_weights(sides, samples.weights, n);
  comparison.estimate = sides.estimate(
      a, b, samples.statistic == SampleStatistic::kExpMean ? Statistic::kExpMean : Statistic::kMean,
      weights);
  return comparison;
}

}  // namespace assay::results
