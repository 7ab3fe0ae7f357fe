#include "results/board/compare.h"

#include <fmt/format.h>

#include <map>
#include <set>
#include <tuple>

#include "harness/core/error.h"
#include "results/store/fingerprint.h"

namespace assay::results {
namespace {

using Place = std::tuple<std::string, std::string, std::string>;  // metric, data, split

// Measured rows by place, one a stage.
std::map<Place, std::map<std::string, ResultRow>> by_place(const std::vector<ResultRow>& rows) {
  std::map<Place, std::map<std::string, ResultRow>> places;
  for (const ResultRow& row : rows) {
    if (row.timing || row.metric == kNetworkMetric || row.fingerprint.empty()) continue;
    places[{row.metric, row.data, row.split}].emplace(row.stage, row);
  }
  return places;
}

[[noreturn]] void refuse_protocols(const ResultRow& left, const ResultRow& right,
                                   const std::function<Json(const std::string&)>& protocol_of) {
  const auto differences =
      protocol_differences(protocol_of(left.fingerprint), protocol_of(right.fingerprint));
  throw Error(ErrorKind::kConfig,
              fmt::format("{} on {}/{} was measured under different protocols and cannot be "
                          "compared: {}",
                          left.metric, left.data, left.split, fmt::join(differences, "; ")),
              {{"metric", left.metric}, {"left", left.fingerprint}, {"right", right.fingerprint}});
}

std::vector<double> samples_of(const SafetensorsFile& file, const std::string& name,
                               std::int64_t n) {
  const TensorEntry& tensor = file.at(name);
  if (tensor.shape.size() != 1 || tensor.shape[0] != n) {
    throw Error(ErrorKind::kData,
                fmt::format("{}: tensor '{}' cannot be paired: expected [{}], found [{}]",
                            file.path().string(), name, n, fmt::join(tensor.shape, ", ")),
                {{"file", file.path().string()}, {"tensor", name}});
  }
  return file.values(name);
}

Flips flips_of(const std::vector<double>& left, const std::vector<double>& right) {
  Flips flips;
  for (std::size_t i = 0; i < left.size(); ++i) {
    if (left[i] > right[i]) ++flips.only_left;
    if (left[i] < right[i]) ++flips.only_right;
  }
  return flips;
}

Comparison accuracy(const std::string& name, std::vector<double> left, std::vector<double> right,
                    const BootstrapOptions& options) {
  Comparison comparison{
      .name = name == "correct" ? "top1" : name, .unit = "%", .flips = flips_of(left, right)};
  for (double& value : left) value *= 100;
  for (double& value : right) value *= 100;
  comparison.estimate = paired_bootstrap(left, right, Statistic::kMean, options);
  return comparison;
}

void add_perplexity(const SafetensorsFile& left, const SafetensorsFile& right,
                    const std::vector<double>& a, const std::vector<double>& b,
                    const BootstrapOptions& options, std::vector<Comparison>& out) {
  const auto n = static_cast<std::int64_t>(a.size());
  const std::vector<double> tokens = samples_of(left, "window_tokens", n);
  if (tokens != samples_of(right, "window_tokens", n)) {
    throw Error(ErrorKind::kData,
                fmt::format("{} and {} cannot be paired: their windows score different tokens",
                            left.path().string(), right.path().string()));
  }
  out.push_back({.name = "nll",
                 .unit = "nats/token",
                 .higher_is_better = false,
                 .estimate = paired_bootstrap(a, b, Statistic::kMean, options, tokens)});
  out.push_back({.name = "perplexity",
                 .higher_is_better = false,
                 .estimate = paired_bootstrap(a, b, Statistic::kExpMean, options, tokens)});
}

void add_comparisons(const std::string& name, const SafetensorsFile& left,
                     const SafetensorsFile& right, const BootstrapOptions& options,
                     std::vector<Comparison>& out) {
  const auto& shape = left.at(name).shape;
  const std::int64_t n = shape.size() == 1 ? shape[0] : -1;
  const std::vector<double> a = samples_of(left, name, n), b = samples_of(right, name, n);
  if (name == "window_nll") {
    add_perplexity(left, right, a, b, options, out);
  } else if (name == "nll") {
    out.push_back({.name = "nll",
                   .unit = "nats",
                   .higher_is_better = false,
                   .estimate = paired_bootstrap(a, b, Statistic::kMean, options)});
  } else {
    out.push_back(accuracy(name, a, b, options));
  }
}

std::string verdict(const Comparison& comparison) {
  const PairedEstimate& e = comparison.estimate;
  if (e.low <= 0 && e.high >= 0) return "not resolved";
  return (e.low > 0) == comparison.higher_is_better ? "A better" : "B better";
}

}  // namespace

std::vector<MetricPair> common_metrics(const std::vector<ResultRow>& left,
                                       const std::vector<ResultRow>& right,
                                       const std::function<Json(const std::string&)>& protocol_of) {
  const auto left_places = by_place(left), right_places = by_place(right);
  std::vector<MetricPair> pairs;
  for (const auto& [place, left_rows] : left_places) {
    const auto other = right_places.find(place);
    if (other == right_places.end()) continue;
    const std::size_t before = pairs.size();
    for (const auto& [left_stage, a] : left_rows) {
      for (const auto& [right_stage, b] : other->second) {
        if (a.fingerprint == b.fingerprint) pairs.push_back({a, b});
      }
    }
    if (pairs.size() == before) {
      refuse_protocols(left_rows.begin()->second, other->second.begin()->second, protocol_of);
    }
  }
  if (pairs.empty()) {
    throw Error(ErrorKind::kConfig,
                "the two trials have no measured metric in common; `assay show TRIAL` lists what "
                "each has");
  }
  return pairs;
}

std::vector<Comparison> compare_samples(const SafetensorsFile& left, const SafetensorsFile& right,
                                        const BootstrapOptions& options) {
  std::vector<Comparison> comparisons;
  for (const char* name : {"correct", "top5", "nll", "window_nll"}) {
    if (left.tensors().contains(name) && right.tensors().contains(name)) {
      add_comparisons(name, left, right, options, comparisons);
    }
  }
  if (comparisons.empty()) {
    throw Error(
        ErrorKind::kData,
        fmt::format(
            "{} and {} have no per-sample values in common (correct, top5, nll or window_nll)",
            left.path().string(), right.path().string()));
  }
  return comparisons;
}

Table comparison_table(const std::string& left_label, const std::string& right_label,
                       const std::vector<Comparison>& comparisons,
                       const BootstrapOptions& options) {
  Table table{.title = "A: " + left_label + "   B: " + right_label,
              .columns = {{"metric"},
                          {"data"},
                          {"value"},
                          {"A", true},
                          {"B", true},
                          {"A - B", true},
                          {"low", true},
                          {"high", true},
                          {"n", true},
                          {"only A right", true},
                          {"only B right", true},
                          {"verdict"}}};
  for (const Comparison& c : comparisons) {
    const int decimals = c.unit == "%" ? 2 : 4;
    const PairedEstimate& e = c.estimate;
    table.rows.push_back(
        {text_cell(c.metric), text_cell(c.where),
         text_cell(c.unit.empty() ? c.name : c.name + " " + c.unit), number_cell(e.left, decimals),
         number_cell(e.right, decimals), number_cell(e.difference, decimals),
         number_cell(e.low, decimals), number_cell(e.high, decimals), count_cell(e.n),
         c.flips ? count_cell(c.flips->only_left) : empty_cell(),
         c.flips ? count_cell(c.flips->only_right) : empty_cell(), text_cell(verdict(c))});
  }
  table.notes.push_back(
      fmt::format("low, high: {:g} % interval of A - B, paired bootstrap, {} resamples, seed {}",
                  options.level * 100, options.resamples, options.seed));
  return table;
}

}  // namespace assay::results
