#pragma once

#include <string>
#include <vector>

#include "harness/plan/method_steps.h"
#include "harness/spec/sweep.h"

namespace assay::plan {

// What a trial is called, and which of its parameters boards show.
class TrialLabels {
 public:
  // Both outlive this object.
  TrialLabels(const spec::Sweep& sweep, const MethodSteps& steps);

  // PlannedTrial::label: "vit_fashion psaq_vit W4A8 seed=1 images=64".
  std::string label(const spec::Trial& trial) const;
  // PlannedTrial::chosen_text.
  std::string chosen_text(const spec::Trial& trial) const;

 private:
  const std::string& data_name(const spec::Trial& trial) const;
  bool reads_other_data(const spec::Trial& trial) const;
  std::vector<std::pair<std::string, Json>> chosen_in(const spec::Trial& trial) const;

  const spec::Sweep& sweep_;
  const MethodSteps& steps_;
  std::vector<std::string> labels_, chosen_texts_;  // by step: of a trial of it alone
};

}  // namespace assay::plan
