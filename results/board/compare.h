#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "harness/formats/safetensors_file.h"
#include "results/board/bootstrap.h"
#include "results/board/table.h"
#include "results/store/reader.h"

namespace assay::results {

// A row of a board: one trial, or those that differ in their seeds only.
struct ComparedRow {
  std::string label;                 // without the seeds if there are several
  std::vector<TrialSummary> trials;  // by seed
  // Seed and calibration seed of each trial, in their order; null where a trial has none.
  std::vector<std::pair<Json, Json>> seeds() const;
};

// The row that `name` means: a trial's id, a unique beginning of it of at least 4 digits, its
// label, or the label without its seeds, which means all seeds. Throws as find_trial.
ComparedRow find_row(Reader& reader, const std::string& name);

// Whether `name` is the label of a trial, with its seeds or without.
bool is_label(Reader& reader, const std::string& name);

// A metric that two trials measured under one protocol.
struct MetricPair {
  ResultRow left;
  ResultRow right;
  std::string where = {};  // "fashion/test", with settings that tell it from others: "limit=64"
  // Those of its figures that both sides have, by the left's rows, and whose per-sample values are
  // declared alike; what boards show unasked first.
  std::vector<ResultRow> figures;
  std::map<std::string, std::vector<std::string>> left_out;  // why -> names of the other figures
};

// The metrics that two trials have in common, one a protocol, timings left out. A metric that both
// measured under different protocols alone is named in `left_out` with the fields that differ.
// Throws Error(kConfig) if nothing is in common. `protocol_of`: fields of a fingerprint.
std::vector<MetricPair> common_metrics(const std::vector<ResultRow>& left,
                                       const std::vector<ResultRow>& right,
                                       const std::function<Json(const std::string&)>& protocol_of,
                                       std::vector<std::string>& left_out);

// What to say of trials whose networks are quantized by protocols that no board would put into one
// table; "" if they would share one.
std::string quantization_note(const ResultRow& left, const ResultRow& right);

// That two trials of one model have read different weights; "" if they have not.
std::string weights_note(const ResultRow& left, const ResultRow& right);

// Samples that only one side got right.
struct Flips {
  std::int64_t only_left = 0;
  std::int64_t only_right = 0;
};

struct Comparison {
  std::string metric;
  std::string where;  // "fashion/test"
  std::string name;   // of the figure: "top1", "perplexity"
  std::string unit;
  bool higher_is_better = true;
  PairedEstimate estimate;
  std::optional<Flips> flips;
};

// The per-sample values of one side: a file for each of its seeds. At least one.
using SampleFiles = std::vector<std::shared_ptr<const SafetensorsFile>>;

// Compares a figure sample by sample, as its SampleValues say: one of answers in percent, with
// flips where each side is one seed. `seeds_match`: both sides have the same seeds in the same
// order. Throws Error(kData) or Error(kUnsupported) naming file and tensor if a tensor is missing,
// of another length or no numbers, holds no answers where it should, or if the weights of two files
// differ.
Comparison compare_samples(const ResultRow& figure, const SampleFiles& left,
                           const SampleFiles& right, bool seeds_match,
                           const BootstrapOptions& options);

// `seeds_drawn`: the interval was made over seeds too.
Table comparison_table(const std::string& left_label, const std::string& right_label,
                       const std::vector<Comparison>& comparisons, bool seeds_drawn,
                       const BootstrapOptions& options);

}  // namespace assay::results
