#include "results/board/compare.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <set>
#include <span>
#include <tuple>

#include "harness/base/error.h"
#include "harness/contract/catalogue.h"
#include "results/board/quantization.h"
#include "results/board/rows.h"
#include "results/board/show.h"
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

// "top1 on fashion/test, perplexity on austen/test" or "none".
std::string places_text(const std::map<Place, std::map<std::string, ResultRow>>& places) {
  std::string text;
  for (const auto& [place, unused] : places) {
    const auto& [metric, data, split] = place;
    text += fmt::format("{}{} on {}/{}", text.empty() ? "" : ", ", metric, data, split);
  }
  return text.empty() ? "none" : text;
}

std::string other_protocol(const ResultRow& left, const ResultRow& right,
                           const std::function<Json(const std::string&)>& protocol_of) {
  const auto differences =
      protocol_differences(protocol_of(left.fingerprint), protocol_of(right.fingerprint));
  return fmt::format(
      "{} on {}/{} was measured under different protocols and cannot be compared: {}", left.metric,
      left.data, left.split, fmt::join(differences, "; "));
}

// Fills in `where`: data and split, and of several pairs of a metric the settings that differ.
void tell_apart(std::vector<MetricPair>& pairs) {
  std::map<Place, std::vector<MetricPair*>> alike;
  for (MetricPair& pair : pairs) {
    pair.where = pair.left.data + "/" + pair.left.split;
    alike[{pair.left.metric, pair.left.data, pair.left.split}].push_back(&pair);
  }
  for (const auto& [unused, several] : alike) {
    std::map<std::string, std::set<std::string>> values;
    for (const MetricPair* pair : several) {
      const Json settings = parse_json(pair->left.settings, "settings");
      for (const auto& item : settings.items()) values[item.key()].insert(item.value().dump());
    }
    for (MetricPair* pair : several) {
      const Json settings = parse_json(pair->left.settings, "settings");
      for (const auto& [name, seen] : values) {
        if (seen.size() > 1) {
          pair->where += fmt::format(" {}={}", name, settings.value(name, Json()).dump());
        }
      }
    }
  }
}

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

bool belongs(const ResultRow& row, const ResultRow& to) {
  return row.stage == to.stage && row.metric == to.metric && row.data == to.data &&
         row.split == to.split && row.settings == to.settings;
}

const ResultRow* find_figure(const std::vector<ResultRow>& rows, const ResultRow& of,
                             const std::string& name) {
  const auto found = std::find_if(rows.begin(), rows.end(), [&](const ResultRow& row) {
    return belongs(row, of) && row.name == name;
  });
  return found == rows.end() ? nullptr : &*found;
}

// Why a figure cannot be paired; "" if it can. Null: that side has no such figure.
std::string why_unpaired(const ResultRow* a, const ResultRow* b) {
  if (a == nullptr || b == nullptr)
    return a == nullptr ? "A does not have it" : "B does not have it";
  if (!a->value || !b->value) return a->value ? "B has no value" : "A has no value";
  if (a->samples.empty() && b->samples.empty()) return "no per-sample values are declared";
  if (a->samples.empty() || b->samples.empty()) {
    return fmt::format(
        "{} declares no per-sample values (the next `assay run` of a whole sweep adds "
        "those of a database of an older format)",
        a->samples.empty() ? "A" : "B");
  }
  return a->samples == b->samples ? "" : "it follows from other per-sample values in A than in B";
}

// Sorts the figures of two rows' stages into what can be paired, what boards show unasked first,
// and what cannot.
void add_figures(MetricPair& pair, const std::vector<ResultRow>& lefts,
                 const std::vector<ResultRow>& rights) {
  std::set<std::string> names;
  for (const ResultRow& row : lefts) {
    if (belongs(row, pair.left)) names.insert(row.name);
  }
  for (const ResultRow& row : rights) {
    if (belongs(row, pair.right)) names.insert(row.name);
  }
  for (const std::string& name : names) {
    const ResultRow* a = find_figure(lefts, pair.left, name);
    const std::string why = why_unpaired(a, find_figure(rights, pair.right, name));
    if (why.empty()) {
      pair.figures.push_back(*a);
    } else {
      pair.left_out[why].push_back(name);
    }
  }
  std::stable_sort(
      pair.figures.begin(), pair.figures.end(),
      [](const ResultRow& a, const ResultRow& b) { return a.is_primary && !b.is_primary; });
}

// The seeds in an identity: {seed, calibration_seed}.
std::pair<Json, Json> seeds_of(const Json& identity) {
  const auto member = [&](const char* name) {
    return identity.is_object() ? identity.value(name, Json()) : Json();
  };
  return {member("seed"), member("calibration_seed")};
}

// "vit psaq_vit W4A8 seed=1 images=64" -> "vit psaq_vit W4A8 images=64"
std::string without_seeds(const std::string& label) {
  std::string text;
  for (std::size_t at = 0; at <= label.size();) {
    const std::size_t end = std::min(label.find(' ', at), label.size());
    const std::string word = label.substr(at, end - at);
    if (!word.starts_with("seed=") && !word.starts_with("calibration_seed=")) {
      text += (text.empty() ? "" : " ") + word;
    }
    at = end + 1;
  }
  return text;
}

// "-" where there is no interval.
Cell bound_cell(double value, double size, int decimals) {
  return std::isnan(value) ? empty_cell() : difference_cell(value, size, decimals);
}

// The bootstrap's interval of fewer is far too narrow: two samples have three resamples.
constexpr std::int64_t kFewestSamples = 10;

std::string verdict(const Comparison& comparison) {
  const PairedEstimate& e = comparison.estimate;
  if (std::isnan(e.low) || std::isnan(e.high)) return "not resolved";
  if (e.n < kFewestSamples) return "too few samples";
  if (e.low <= 0 && e.high >= 0) return "not resolved";
  return (e.low > 0) == comparison.higher_is_better ? "A better" : "B better";
}

}  // namespace

std::vector<MetricPair> common_metrics(const std::vector<ResultRow>& left,
                                       const std::vector<ResultRow>& right,
                                       const std::function<Json(const std::string&)>& protocol_of,
                                       std::vector<std::string>& left_out) {
  const auto left_places = by_place(left), right_places = by_place(right);
  std::vector<MetricPair> pairs;
  std::vector<std::string> unlike;
  for (const auto& [place, left_rows] : left_places) {
    const auto other = right_places.find(place);
    if (other == right_places.end()) continue;
    const std::size_t before = pairs.size();
    std::set<std::string> paired;  // several settings may be one protocol
    for (const auto& [left_stage, a] : left_rows) {
      for (const auto& [right_stage, b] : other->second) {
        if (a.fingerprint != b.fingerprint || !paired.insert(a.fingerprint).second) continue;
        add_figures(pairs.emplace_back(MetricPair{.left = a, .right = b}), left, right);
      }
    }
    if (pairs.size() == before) {
      unlike.push_back(
          other_protocol(left_rows.begin()->second, other->second.begin()->second, protocol_of));
    }
  }
  if (pairs.empty() && !unlike.empty()) {
    throw Error(ErrorKind::kConfig, fmt::format("{}", fmt::join(unlike, "\n")));
  }
  if (pairs.empty()) {
    throw Error(
        ErrorKind::kConfig,
        fmt::format("the two trials have no metric in common that is measured and is no timing: "
                    "A has {}, B {}",
                    places_text(left_places), places_text(right_places)));
  }
  for (const std::string& each : unlike) left_out.push_back("left out: " + each);
  tell_apart(pairs);
  return pairs;
}

std::string quantization_note(const ResultRow& left, const ResultRow& right) {
  const Quantization a = quantization_of(left), b = quantization_of(right);
  if (tables_for({a, b}).size() < 2) return "";
  const auto text = [](const Quantization& quantization) {
    const std::string protocol = quantization_text(quantization);
    return protocol.empty() ? std::string("a protocol that its method does not state") : protocol;
  };
  return fmt::format("the networks are quantized by different protocols: A by {}; B by {}", text(a),
                     text(b));
}

std::string weights_note(const ResultRow& left, const ResultRow& right) {
  const auto weights_of = [](const ResultRow& row) {
    return row.identity.value("content", Json::object()).value("weights", std::string("none"));
  };
  const std::string a = weights_of(left), b = weights_of(right);
  if (left.model != right.model || a == b) return "";
  return fmt::format("model '{}' has other weights in A ({}) than in B ({})", left.model, a, b);
}

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

std::vector<std::pair<Json, Json>> ComparedRow::seeds() const {
  std::vector<std::pair<Json, Json>> all;
  for (const TrialSummary& trial : trials) all.push_back(seeds_of(trial.identity));
  return all;
}

// Trials that differ in more than their seeds are no repeats of each other, whatever their labels.
void check_repeats(const std::filesystem::path& file, const std::string& name,
                   const std::vector<TrialSummary>& trials) {
  const std::string key = repeat_key(trials.front().identity);
  for (const TrialSummary& trial : trials) {
    if (repeat_key(trial.identity) == key) continue;
    refuse_ambiguous(file, name, trials);
  }
}

bool is_label(Reader& reader, const std::string& name) {
  const std::vector<TrialSummary> trials = reader.trials();
  return std::any_of(trials.begin(), trials.end(), [&](const TrialSummary& trial) {
    return trial.label == name || same_words(without_seeds(trial.label), name);
  });
}

ComparedRow find_row(Reader& reader, const std::string& name) {
  ComparedRow row{.label = name, .trials = {}};
  bool whole = false;  // the label of one trial
  std::vector<TrialSummary> reordered;
  for (TrialSummary& trial : reader.trials()) {
    whole = whole || trial.id == name || trial.label == name;
    if (without_seeds(trial.label) == name) {
      row.trials.push_back(std::move(trial));
    } else if (same_words(without_seeds(trial.label), name)) {
      reordered.push_back(std::move(trial));
    }
  }
  if (row.trials.empty() && !whole) row.trials = std::move(reordered);
  if (whole || row.trials.empty()) {
    TrialSummary trial = find_trial(reader, name);
    return {trial.label, {trial}};
  }
  check_repeats(reader.path(), name, row.trials);
  std::sort(row.trials.begin(), row.trials.end(), [](const auto& a, const auto& b) {
    return seeds_of(a.identity) < seeds_of(b.identity);
  });
  return row;
}

Table comparison_table(const std::string& left_label, const std::string& right_label,
                       const std::vector<Comparison>& comparisons, bool seeds_drawn,
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
    const double size = std::max(std::abs(e.left), std::abs(e.right));
    table.rows.push_back(
        {text_cell(c.metric), text_cell(c.where),
         text_cell(c.unit.empty() ? c.name : c.name + " " + c.unit), number_cell(e.left, decimals),
         number_cell(e.right, decimals), difference_cell(e.difference, size, decimals),
         bound_cell(e.low, size, decimals), bound_cell(e.high, size, decimals), count_cell(e.n),
         c.flips ? count_cell(c.flips->only_left) : empty_cell(),
         c.flips ? count_cell(c.flips->only_right) : empty_cell(), text_cell(verdict(c))});
  }
  table.notes.push_back(
      fmt::format("low, high: {:g} % interval of A - B, paired bootstrap{}, {} resamples, seed {}",
                  options.level * 100, seeds_drawn ? " over seeds and samples" : "",
                  options.resamples, options.seed));
  table.notes.push_back(
      "the interval covers which samples were drawn, not the rounding of another run or machine");
  return table;
}

}  // namespace assay::results
