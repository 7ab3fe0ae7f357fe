#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "harness/formats/safetensors_file.h"
#include "results/board/bootstrap.h"
#include "results/store/reader.h"

namespace assay::results {

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

}  // namespace assay::results
