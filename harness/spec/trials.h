#pragma once

#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <tuple>
#include <unordered_map>
#include <vector>

#include "harness/contract/catalogue.h"
#include "harness/spec/block.h"
#include "harness/spec/step_table.h"
#include "harness/spec/sweep.h"

namespace assay::spec {

// Turns points into distinct trials: what a trial does not read is no part of it, so that points
// which differ only there become one. Evaluations must be loaded before: a metric may be random.
class TrialTable {
 public:
  TrialTable(const Catalogue& catalogue, Sweep& sweep, StepTable& steps);

  // Adds the trial of a point, or finds it; `tag` (may be null) is added to it, and `use` is told
  // which parameters it reads. A method that is not for the model's family is skipped where the
  // run says so. Throws Error(kConfig) if it does not, if the method
  // is a composition that cannot be (check_composition), reads bits and the block has none, or
  // needs data and there is none.
  void add(const Point& point, const AblationTag* tag, ParameterUse& use);

  StepTable& steps() { return steps_; }

 private:
  // What a trial reads besides its model, and its steps with the parameters that they read.
  struct Reads {
    bool bits = false;
    bool data = false;
    bool seed = false;
    bool calibration_seed = false;
    std::vector<std::uint32_t> steps;
  };
  // It depends on the model, the steps, and which parts are quantized.
  using ReadsKey = std::tuple<std::uint32_t, std::vector<std::uint32_t>, unsigned>;
  // Method, task, which parts are quantized, values of the parameters that decide.
  using ReachKey = std::tuple<const MethodDeclaration*, std::string, unsigned, std::string>;
  const Reads& reads_of(const Point& point);
  const Reach& reach_under(const MethodDeclaration& method, const InputConditions& conditions);
  Reads make_reads(const Point& point);
  void add_metrics(const Point& point, InputConditions conditions, Reads& reads) const;
  bool fits_family(const Point& point);
  int data_for(const Point& point) const;

  const Catalogue& catalogue_;
  Sweep& sweep_;
  StepTable& steps_;
  std::vector<const Evaluation*> random_;  // evaluations whose metric may draw random numbers
  std::map<std::pair<std::uint32_t, std::string>, bool> fits_;  // by model and method
  std::map<const MethodDeclaration*, std::set<std::string>> deciding_;
  std::map<ReachKey, Reach> reach_;
  std::map<ReadsKey, Reads> reads_;
  std::unordered_map<std::string, std::uint32_t> index_;  // by identity_text()
};

// Returns what is legal, and perhaps not meant: rules of `exclude` that leave out nothing.
std::vector<std::string> load_trials(Node& node, const Catalogue& catalogue, TrialTable& table,
                                     const Sweep& sweep);
void load_ablations(Node& node, const Catalogue& catalogue, TrialTable& table, const Sweep& sweep);

}  // namespace assay::spec
