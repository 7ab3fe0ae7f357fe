#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <set>

#include "harness/contract/bits.h"
#include "harness/plan/planner.h"
#include "harness/plan/questions.h"
#include "harness/spec/expression.h"

namespace assay::plan {
namespace {

const std::vector<std::string> kNames{"id",
                                      "model",
                                      "family",
                                      "task",
                                      "method",
                                      "bits",
                                      "w_bits",
                                      "a_bits",
                                      "kv_bits",
                                      "seed",
                                      "calibration_seed",
                                      "calibration_data",
                                      "ablation"};

std::vector<std::string> legal_names(const Plan& plan) {
  std::set<std::string> parameters;
  for (const PlannedTrial& trial : plan.trials) {
    const Json identity = trial.identity();
    for (const Json& step : identity.at("method")) {
      const auto& method = step.at("name").get_ref<const std::string&>();
      for (const auto& item : step.at("parameters").items()) {
        parameters.insert(item.key());
        parameters.insert(method + "." + item.key());
      }
    }
  }
  std::vector<std::string> names = kNames;
  names.insert(names.end(), parameters.begin(), parameters.end());
  return names;
}

Json text_or_nothing(const std::string& text) { return text.empty() ? Json() : Json(text); }

Json parameter_of(const Json& identity, const std::string& name) {
  const std::size_t dot = name.find('.');
  for (const Json& step : identity.at("method")) {
    if (dot != std::string::npos && step.at("name") != name.substr(0, dot)) continue;
    const Json& parameters = step.at("parameters");
    const auto found = parameters.find(dot == std::string::npos ? name : name.substr(dot + 1));
    if (found != parameters.end()) return *found;
  }
  return {};
}

Json value_of(const PlannedTrial& trial, const Json& identity, const std::string& name) {
  if (name == "id") return trial.id;
  if (name == "model") return trial.model;
  if (name == "family") return trial.family;
  if (name == "task") return trial.task;
  if (name == "method") return trial.method;
  if (name == "bits") return text_or_nothing(trial.bits);
  if (int Bits::*const member = bits_named(name)) {
    return trial.bits.empty() ? Json() : Json((*bits_from(trial.bits)).*member);
  }
  if (name == "ablation") {
    return trial.ablations.empty() ? Json() : Json(trial.ablations[0].variant);
  }
  if (name == "seed" || name == "calibration_seed" || name == "calibration_data") {
    const auto found = identity.find(name);
    return found == identity.end() ? Json() : *found;
  }
  return parameter_of(identity, name);
}

// "; ablation is one of 'base', 'without swing'" for an expression that asks for it.
std::string variants_named(const Plan& plan, const spec::Expression& where) {
  const auto& names = where.names();
  if (std::find(names.begin(), names.end(), "ablation") == names.end()) return "";
  std::set<std::string> variants;
  for (const PlannedTrial& trial : plan.trials) {
    if (!trial.ablations.empty()) variants.insert("'" + trial.ablations[0].variant + "'");
  }
  if (variants.empty()) return "; the sweep has no ablation";
  return fmt::format("; ablation is one of {}", fmt::join(variants, ", "));
}

// Keeps the stages that `plan.trials` need, and numbers them anew.
void drop_unneeded_stages(Plan& plan) {
  std::vector<std::size_t> renumbered(plan.stages.size(), 0);
  for (const PlannedTrial& trial : plan.trials) {
    for (const std::size_t stage : trial.stages) renumbered[stage] = 1;
  }
  std::vector<Stage> stages;
  for (std::size_t i = 0; i < plan.stages.size(); ++i) {
    if (renumbered[i] == 0) continue;
    renumbered[i] = stages.size();
    stages.push_back(std::move(plan.stages[i]));
  }
  plan.stages = std::move(stages);
  for (PlannedTrial& trial : plan.trials) {
    for (std::size_t& stage : trial.stages) stage = renumbered[stage];
    for (PlannedMetric& metric : trial.metrics) metric.stage = renumbered[metric.stage];
    if (trial.network_stage >= 0) {
      trial.network_stage =
          static_cast<int>(renumbered[static_cast<std::size_t>(trial.network_stage)]);
    }
  }
}

}  // namespace

Plan without_trials(Plan plan, const std::vector<bool>& dropped) {
  std::set<std::string> ids;
  std::vector<PlannedTrial> trials;
  for (std::size_t i = 0; i < plan.trials.size(); ++i) {
    if (dropped[i]) continue;
    ids.insert(plan.trials[i].id);
    trials.push_back(std::move(plan.trials[i]));
  }
  plan.trials = std::move(trials);
  std::erase_if(plan.left_out, [&](const LeftOut& pair) { return !ids.contains(pair.trial); });
  drop_unneeded_stages(plan);
  return plan;
}

Plan filter_trials(const Plan& plan, const std::string& expression) {
  spec::Place place;
  place.file = std::make_shared<const std::string>("--only");
  const spec::Expression where(expression, place, legal_names(plan));
  std::vector<bool> dropped;
  for (const PlannedTrial& trial : plan.trials) {
    const Json identity = trial.identity();
    dropped.push_back(!where.holds(
        [&](std::size_t name) { return value_of(trial, identity, where.names()[name]); }));
  }
  Plan kept = without_trials(plan, dropped);
  if (kept.trials.empty()) {
    spec::refuse(place,
                 fmt::format("no trial of {} fits \"{}\"{}", plan.trials.size(), expression,
                             variants_named(plan, where)),
                 expression);
  }
  return kept;
}

}  // namespace assay::plan
