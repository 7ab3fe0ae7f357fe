#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "harness/core/catalogue.h"
#include "harness/spec/block.h"
#include "harness/spec/step_table.h"
#include "harness/spec/sweep.h"

namespace assay::spec {

// Turns points into distinct trials: what a trial does not read is no part of it, so that points
// which differ only there become one. Evaluations must be loaded before: a metric may be random.
class TrialTable {
 public:
  TrialTable(const Catalogue& catalogue, Sweep& sweep, StepTable& steps);

  // Adds the trial of a point, or finds it; `tag` (may be null) is added to it. Throws
  // Error(kConfig) if the method does not fit the model's family, reads bits and the block has
  // none, or needs data and there is none.
  void add(const Point& point, const AblationTag* tag);

  StepTable& steps() { return steps_; }

 private:
  // What holds for all trials of a model and a composition.
  struct Traits {
    bool bits = false;
    bool data = false;
    bool seed = false;
    bool calibration_seed = false;
  };
  const Traits& traits_of(const Point& point);
  Traits make_traits(const Point& point) const;
  int data_for(const Point& point) const;

  const Catalogue& catalogue_;
  Sweep& sweep_;
  StepTable& steps_;
  std::vector<Reach> metric_reach_;  // by evaluation
  std::map<std::pair<std::uint32_t, std::string>, Traits> traits_;
  std::unordered_map<std::string, std::uint32_t> index_;  // by id
};

void load_trials(Node& node, const Catalogue& catalogue, TrialTable& table, const Sweep& sweep);
void load_ablations(Node& node, const Catalogue& catalogue, TrialTable& table, const Sweep& sweep);

}  // namespace assay::spec
