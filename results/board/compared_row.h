#pragma once

#include <string>
#include <utility>
#include <vector>

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

}  // namespace assay::results
