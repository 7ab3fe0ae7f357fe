#include "harness/plan/trial_label.h"

#include <fmt/format.h>

#include "harness/contract/network_chain.h"
#include "harness/spec/method_expression.h"

namespace assay::plan {
namespace {

constexpr std::size_t kUsualLabel = 64;  // room for most labels without growing

std::string shown(const Json& value) {
  if (value.is_string()) return value.get<std::string>();
  return value.is_number_float() ? canonical_json(value) : value.dump();
}

std::string label_text(const std::vector<std::pair<std::string, Json>>& chosen) {
  std::string text;
  text.reserve(kUsualLabel);
  for (const auto& [name, value] : chosen) {
    text.append(" ").append(name).append("=").append(shown(value));
  }
  return text;
}

Json object_of(const std::vector<std::pair<std::string, Json>>& chosen) {
  Json object = Json::object();
  for (const auto& [name, value] : chosen) object[name] = value;
  return object;
}

}  // namespace

TrialLabels::TrialLabels(const spec::Sweep& sweep, const MethodSteps& steps)
    : sweep_(sweep), steps_(steps) {
  for (std::uint32_t i = 0; i < sweep.steps.size(); ++i) {
    labels_.push_back(label_text(steps[i].chosen));
    chosen_texts_.push_back(canonical_json(object_of(steps[i].chosen)));
  }
}

const std::string& TrialLabels::data_name(const spec::Trial& trial) const {
  return sweep_.data[static_cast<std::size_t>(trial.calibration_data)].name;
}

// Calibration data is the model's own unless the sweep says otherwise.
bool TrialLabels::reads_other_data(const spec::Trial& trial) const {
  return trial.calibration_data >= 0 && data_name(trial) != sweep_.models[trial.model].data;
}

// Parameters off their defaults; in a composition with the step that each belongs to.
std::vector<std::pair<std::string, Json>> TrialLabels::chosen_in(const spec::Trial& trial) const {
  std::vector<std::string> methods;
  for (const std::uint32_t step : trial.steps) methods.push_back(sweep_.steps[step].method);
  const std::vector<std::string> owners = step_names(methods);
  std::vector<std::pair<std::string, Json>> chosen;
  for (std::size_t i = 0; i < trial.steps.size(); ++i) {
    const std::string owner = owners.size() > 1 ? owners[i] + "." : "";
    for (const auto& [name, value] : steps_[trial.steps[i]].chosen) {
      chosen.emplace_back(owner + name, value);
    }
  }
  return chosen;
}

std::string TrialLabels::label(const spec::Trial& trial) const {
  const spec::Model& model = sweep_.models[trial.model];
  std::string label = model.name + " " + spec::method_text(sweep_, trial);
  if (trial.bits) label += " " + spec::bits_text(trial);
  if (trial.seed) label += fmt::format(" seed={}", *trial.seed);
  if (trial.calibration_seed && trial.calibration_seed != trial.seed) {
    label += fmt::format(" calibration_seed={}", *trial.calibration_seed);
  }
  if (reads_other_data(trial)) label += " calibration_data=" + data_name(trial);
  return label +
         (trial.steps.size() == 1 ? labels_[trial.steps.front()] : label_text(chosen_in(trial)));
}

std::string TrialLabels::chosen_text(const spec::Trial& trial) const {
  if (trial.steps.size() == 1 && !reads_other_data(trial)) {
    return chosen_texts_[trial.steps.front()];
  }
  Json chosen = object_of(chosen_in(trial));
  if (reads_other_data(trial)) chosen["calibration_data"] = data_name(trial);
  return canonical_json(chosen);
}

}  // namespace assay::plan
