#include "harness/plan/summary.h"

#include <fmt/format.h>

#include <algorithm>
#include <unordered_map>

namespace assay::plan {
namespace {

template <typename Value>
std::optional<Value> known(const std::map<std::string, Value>& costs, const std::string& name) {
  const auto found = costs.find(name);
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
    return done[i] ? 0 : known(costs.size_bytes, plan.stages[i].name).value_or(0);
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

void add_stages(const Plan& plan, const std::vector<std::int64_t>& uses,
                const std::vector<bool>& done, const Costs& costs, PlanSummary& summary) {
  std::unordered_map<std::string_view, std::size_t> rows;
  for (std::size_t i = 0; i < plan.stages.size(); ++i) {
    const Stage& stage = plan.stages[i];
    const auto [row, inserted] = rows.try_emplace(stage.name, summary.by_stage.size());
    if (inserted) {
      summary.by_stage.push_back({.name = stage.name.str()});
      summary.by_stage.back().wall_s = known(costs.wall_s, stage.name);
    }
    StageSummary& line = summary.by_stage[row->second];
    ++line.stages;
    line.uses += uses[i];
    summary.unshared_stages += uses[i];
    if (uses[i] > 1) ++line.shared;
    if (done[i]) {
      ++line.done;
      ++summary.done;
    } else if (line.wall_s) {
      summary.expected_s = summary.expected_s.value_or(0) + *line.wall_s;
    } else {
      ++summary.stages_without_cost;
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

// What a repeat of a trial would give.
std::string repeats_of(const TrialSummary& trial) {
  std::string text = trial.deterministic ? "deterministic" : "by seed";
  if (trial.points > 1) text += fmt::format(", {} points are one", trial.points);
  return text;
}

}  // namespace

PlanSummary describe_plan(const Plan& plan,
                          const std::function<bool(const std::string& key)>& is_done,
                          const Costs& costs) {
  PlanSummary summary;
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
  return summary;
}

std::string markdown(const PlanSummary& summary, std::size_t max_trials) {
  std::string text = fmt::format(
      "# Plan of {}\n\n{} trials, {} distinct stages ({} without sharing), "
      "{} done, {} to run\n\n",
      summary.sweep, summary.trials, summary.stages, summary.unshared_stages, summary.done,
      summary.stages - summary.done);
  if (summary.points > summary.trials) {
    text += fmt::format(
        "The sweep has {} points; those that differ only in what their trial never reads (a seed, "
        "a parameter) are one trial.\n\n",
        summary.points);
  }
  text += "| stage | distinct | shared | uses | done | to run |\n|---|--:|--:|--:|--:|--:|\n";
  for (const StageSummary& row : summary.by_stage) {
    text += fmt::format("| {} | {} | {} | {} | {} | {} |\n", row.name, row.stages, row.shared,
                        row.uses, row.done, row.stages - row.done);
  }
  text += "\n| trial | id | repeats | stages | done |\n|---|---|---|--:|--:|\n";
  for (std::size_t i = 0; i < std::min(max_trials, summary.by_trial.size()); ++i) {
    const TrialSummary& row = summary.by_trial[i];
    text += fmt::format("| {} | {} | {} | {} | {} |\n", row.label, row.id, repeats_of(row),
                        row.stages, row.done);
  }
  if (summary.by_trial.size() > max_trials) {
    text += fmt::format("\n... and {} more trials\n", summary.by_trial.size() - max_trials);
  }
  if (!summary.left_out.empty()) {
    text += "\n| left out | pairs | why | for example |\n|---|--:|---|---|\n";
    for (const LeftOutSummary& row : summary.left_out) {
      text +=
          fmt::format("| {} | {} | {} | {} |\n", row.metric, row.pairs, row.reason, row.example);
    }
  }
  return text;
}

}  // namespace assay::plan
