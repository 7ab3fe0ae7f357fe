#include "harness/plan/summary.h"

#include <fmt/format.h>

#include <algorithm>
#include <unordered_map>

namespace assay::plan {
namespace {

template <typename Value>
std::optional<Value> known(const std::map<std::string, Value>& costs, const Stage& stage) {
  if (costs.empty()) return {};
  auto found = costs.find(kind_of(stage.label));
  if (found == costs.end()) found = costs.find(stage.name);
  if (found == costs.end()) return {};
  return found->second;
}

std::vector<std::int64_t> uses_of(const Plan& plan) {
  std::vector<std::int64_t> uses(plan.stages.size(), 0);
  for (const PlannedTrial& trial : plan.trials) {
    for (const std::size_t stage : trial.stages) ++uses[stage];
  }
  return uses;
}

// The store's growth if the stages run one after the other in the order of the plan; temporary
// artifacts go when their last consumer is done.
std::optional<std::int64_t> peak_bytes(const Plan& plan, const std::vector<bool>& done,
                                       const Costs& costs) {
  if (costs.size_bytes.empty()) return {};
  std::unordered_map<std::string_view, std::size_t> index;
  std::vector<std::size_t> last(plan.stages.size());
  for (std::size_t i = 0; i < plan.stages.size(); ++i) {
    index.emplace(plan.stages[i].key.str(), i);
    last[i] = i;
    for (const StageInput& input : plan.stages[i].inputs) last[index.at(input.key)] = i;
  }
  std::vector<std::vector<std::size_t>> dropped(plan.stages.size());
  for (std::size_t i = 0; i < plan.stages.size(); ++i) {
    if (plan.stages[i].retention == Retention::kTemporary) dropped[last[i]].push_back(i);
  }
  const auto size = [&](std::size_t i) {
    return done[i] ? 0 : known(costs.size_bytes, plan.stages[i]).value_or(0);
  };
  std::int64_t now = 0;
  std::int64_t peak = 0;
  for (std::size_t i = 0; i < plan.stages.size(); ++i) {
    now += size(i);
    peak = std::max(peak, now);
    for (const std::size_t gone : dropped[i]) now -= size(gone);
  }
  return peak;
}

// What a stage that is to run will take.
void add_cost(const Stage& stage, const Costs& costs, StageSummary& line, PlanSummary& summary) {
  if (const auto wall_s = known(costs.wall_s, stage)) {
    line.expected_s = line.expected_s.value_or(0) + *wall_s;
    summary.expected_s = summary.expected_s.value_or(0) + *wall_s;
  } else {
    ++summary.stages_without_cost;
  }
  if (const auto bytes = known(costs.memory_bytes, stage)) {
    line.memory_bytes = std::max(line.memory_bytes.value_or(0), *bytes);
    summary.memory_bytes = std::max(summary.memory_bytes.value_or(0), *bytes);
  }
  if (const auto bytes = known(costs.size_bytes, stage)) {
    line.size_bytes = line.size_bytes.value_or(0) + *bytes;
  }
}

// Slots can share no more than this: what runs alone runs after the rest, and no stage starts
// before its inputs are there.
std::optional<double> wall_of(const Plan& plan, const std::vector<bool>& done, const Costs& costs,
                              std::int64_t slots) {
  if (costs.wall_s.empty()) return {};
  std::unordered_map<std::string_view, double> ready;  // by key: the end of its longest path
  double shared = 0, alone = 0, longest = 0;
  bool any = false;
  for (std::size_t i = 0; i < plan.stages.size(); ++i) {
    const Stage& stage = plan.stages[i];
    double start = 0;
    for (const StageInput& input : stage.inputs) start = std::max(start, ready.at(input.key.str()));
    const auto wall_s = done[i] ? std::optional<double>() : known(costs.wall_s, stage);
    any = any || wall_s.has_value();
    (stage.exclusive ? alone : shared) += wall_s.value_or(0);
    const double end = start + wall_s.value_or(0);
    ready[stage.key.str()] = end;
    longest = std::max(longest, end);
  }
  if (!any) return {};
  return std::max(longest, shared / static_cast<double>(slots) + alone);
}

void add_stages(const Plan& plan, const std::vector<std::int64_t>& uses,
                const std::vector<bool>& done, const Costs& costs, PlanSummary& summary) {
  std::unordered_map<std::string_view, std::size_t> rows;
  for (std::size_t i = 0; i < plan.stages.size(); ++i) {
    const Stage& stage = plan.stages[i];
    const auto [row, inserted] = rows.try_emplace(stage.name, summary.by_stage.size());
    if (inserted) summary.by_stage.push_back({.name = stage.name.str()});
    StageSummary& line = summary.by_stage[row->second];
    ++line.stages;
    line.uses += uses[i];
    summary.unshared_stages += uses[i];
    if (uses[i] > 1) ++line.shared;
    if (done[i]) {
      ++line.done;
      ++summary.done;
    } else {
      add_cost(stage, costs, line, summary);
    }
  }
}

void add_left_out(const Plan& plan, PlanSummary& summary) {
  if (plan.left_out.empty()) return;
  std::unordered_map<std::string_view, const std::string*> labels;
  for (const PlannedTrial& trial : plan.trials) labels.emplace(trial.id, &trial.label);
  std::map<std::pair<std::string, std::string>, std::size_t> rows;
  for (const LeftOut& pair : plan.left_out) {
    const auto [row, inserted] =
        rows.try_emplace({pair.metric, pair.reason}, summary.left_out.size());
    if (inserted) {
      const auto label = labels.find(pair.trial);
      summary.left_out.push_back(
          {pair.metric, pair.reason, 0, label == labels.end() ? pair.trial : *label->second});
    }
    ++summary.left_out[row->second].pairs;
  }
}

}  // namespace

std::string kind_of(std::string_view label) {
  std::string kind;
  while (!label.empty()) {
    const std::size_t end = std::min(label.find(' '), label.size());
    const std::string_view word = label.substr(0, end);
    label.remove_prefix(std::min(end + 1, label.size()));
    if (word.starts_with("seed=") || word.starts_with("calibration_seed=") ||
        word.starts_with('[')) {
      continue;
    }
    if (!kind.empty()) kind += ' ';
    kind += word;
  }
  return kind;
}

PlanSummary describe_plan(const Plan& plan,
                          const std::function<bool(const std::string& key)>& is_done,
                          const Costs& costs, std::int64_t slots) {
  PlanSummary summary;
  summary.slots = std::max<std::int64_t>(1, slots);
  summary.sweep = plan.sweep;
  summary.trials = static_cast<std::int64_t>(plan.trials.size());
  summary.stages = static_cast<std::int64_t>(plan.stages.size());
  std::vector<bool> done;
  done.reserve(plan.stages.size());
  summary.by_trial.reserve(plan.trials.size());
  for (const Stage& stage : plan.stages) done.push_back(is_done(stage.key));
  add_stages(plan, uses_of(plan), done, costs, summary);
  for (const PlannedTrial& trial : plan.trials) {
    const auto count = std::count_if(trial.stages.begin(), trial.stages.end(),
                                     [&](std::size_t stage) { return done[stage]; });
    summary.by_trial.push_back({trial.id, trial.label,
                                static_cast<std::int64_t>(trial.stages.size()), count,
                                trial.deterministic, trial.points});
    summary.points += trial.points;
  }
  add_left_out(plan, summary);
  summary.peak_store_bytes = peak_bytes(plan, done, costs);
  summary.expected_wall_s = wall_of(plan, done, costs, summary.slots);
  summary.impossible = plan.impossible;
  return summary;
}

}  // namespace assay::plan
