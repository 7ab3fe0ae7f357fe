#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "harness/contract/catalogue.h"
#include "harness/plan/inputs.h"
#include "harness/plan/stage_builder.h"
#include "harness/spec/sweep.h"

namespace assay::plan {

// A method step of a sweep (spec::Sweep::steps) with what every trial that takes it shares.
struct PreparedStep {
  const MethodDeclaration* method = nullptr;
  Json parameters;  // as the sweep resolves them, defaults for what its trials do not read
  ParameterSet set;
  Shared<std::vector<MetricValue>> network_values;  // what its network tells of itself
  bool draws_windows = false;                       // it rests on calibration windows
  // Parameters off their defaults, in the order of the method's declaration.
  std::vector<std::pair<std::string, Json>> chosen;
};

// The method steps of a sweep, by index into spec::Sweep::steps.
class MethodSteps {
 public:
  // `catalogue` declares every method of the sweep. All arguments outlive this object.
  MethodSteps(const spec::Sweep& sweep, const Catalogue& catalogue, InputDigests& digests);

  const PreparedStep& operator[](std::uint32_t step) const { return steps_[step]; }

  // The step's parameters for the trial's model: where calibration windows are drawn, a `context`
  // of 0 is the network's own, and stands as its number, so that a key names what was drawn.
  // Throws as calibration_context.
  const ParameterSet& parameters(std::uint32_t step, const spec::Trial& trial);

 private:
  struct Resolved {
    Json parameters;
    ParameterSet set;
  };

  const spec::Sweep& sweep_;
  const Catalogue& catalogue_;
  InputDigests& digests_;
  std::vector<PreparedStep> steps_;
  std::map<std::pair<std::uint32_t, std::size_t>, Resolved> resolved_;  // by step and model
};

}  // namespace assay::plan
