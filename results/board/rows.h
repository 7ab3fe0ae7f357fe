#pragma once

#include <map>
#include <string>
#include <vector>

#include "results/store/reader.h"

namespace assay::results {

// All of one run folder that a board is made of.
struct RunResults {
  std::string run;  // name for people
  std::vector<ResultRow> results;
  std::vector<TrialSummary> trials;
  std::vector<CostRow> cost;
  std::vector<StageCostRow> stages;
  std::vector<NoteRow> notes = {};
  std::map<std::string, Json> protocols = {};  // by fingerprint: fields
};

RunResults load(Reader& reader, const std::string& run);

// Identity without its seeds: trials that agree in it are repeats.
std::string repeat_key(const Json& identity);

// The seeds of an identity, "seed=0 calibration_seed=1"; "" for a deterministic trial.
std::string seeds_text(const Json& identity);

// "psaq_vit.images" -> "32" of a trial's method; "calibration_data" as it is.
std::map<std::string, std::string> parameters_of(const Json& identity);

// What a board says of each trial's parameters, "images=32 steps=100" or "": those that are off
// their defaults, and those in which it differs from another row of the same model, method and
// bits. `chosen`: by trial, parameters off their defaults.
std::map<std::string, std::string> distinguishing_parameters(
    const std::vector<const ResultRow*>& rows, const std::map<std::string, Json>& chosen);

}  // namespace assay::results
