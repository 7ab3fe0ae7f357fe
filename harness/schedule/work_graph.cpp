#include "harness/schedule/work_graph.h"

#include <fmt/format.h>

#include <algorithm>
#include <limits>
#include <numeric>
#include <unordered_map>

namespace assay::schedule {

WorkGraph::WorkGraph(const plan::Plan& plan)
    : plan_(plan),
      inputs_(plan.stages.size()),
      consumers_(plan.stages.size()),
      trials_(plan.stages.size()) {
  std::unordered_map<std::string_view, StageIndex> index_of;
  for (StageIndex i = 0; i < plan.stages.size(); ++i) {
    const plan::Stage& stage = plan.stages[i];
    for (const plan::StageInput& input : stage.inputs) {
      const auto found = index_of.find(input.key);
      if (found == index_of.end()) {
        throw Error(ErrorKind::kConfig,
                    fmt::format("plan: input '{}' of {} is no earlier stage: {}", input.name,
                                stage.label, input.key));
      }
      inputs_[i].push_back(found->second);
    }
    if (!stage.canary.empty()) {
      const auto canary = index_of.find(stage.canary);
      if (canary != index_of.end()) inputs_[i].push_back(canary->second);
    }
    if (!index_of.emplace(stage.key, i).second) {
      throw Error(ErrorKind::kConfig, fmt::format("plan: two stages have the key {}", stage.key));
    }
  }
  for (StageIndex i = 0; i < size(); ++i) {
    std::sort(inputs_[i].begin(), inputs_[i].end());
    inputs_[i].erase(std::unique(inputs_[i].begin(), inputs_[i].end()), inputs_[i].end());
    for (const StageIndex input : inputs_[i]) consumers_[input].push_back(i);
  }
  for (std::size_t t = 0; t < plan.trials.size(); ++t) {
    for (const std::size_t stage : plan.trials[t].stages) trials_.at(stage).push_back(t);
  }
}

std::vector<bool> WorkGraph::needed(const std::vector<bool>& in_store) const {
  std::vector<bool> result(size(), false);
  for (StageIndex i = size(); i-- > 0;) {
    if (in_store[i]) continue;
    result[i] = plan_.stages[i].retention != Retention::kTemporary || consumers_[i].empty() ||
                std::any_of(consumers_[i].begin(), consumers_[i].end(),
                            [&](StageIndex consumer) { return result[consumer]; });
  }
  return result;
}

std::vector<double> WorkGraph::remaining_path_s(const Durations& durations,
                                                const std::vector<bool>& settled) const {
  const std::vector<double> expected = expected_s(durations);
  std::vector<double> path(size(), 0);
  for (StageIndex i = size(); i-- > 0;) {
    if (settled[i]) continue;
    double behind = 0;
    for (const StageIndex consumer : consumers_[i]) behind = std::max(behind, path[consumer]);
    path[i] = behind + expected[i];
  }
  return path;
}

std::vector<double> WorkGraph::expected_s(const Durations& durations) const {
  std::unordered_map<const std::string*, double> by_name;  // stages of one name share its text
  std::vector<double> expected(size());
  for (StageIndex i = 0; i < size(); ++i) {
    const std::string& name = plan_.stages[i].name;
    const auto [found, fresh] = by_name.try_emplace(&name, 0);
    if (fresh) found->second = durations.expected_s(name);
    expected[i] = found->second;
  }
  return expected;
}

std::vector<StageRank> WorkGraph::ranks(const Durations& durations,
                                        const std::vector<bool>& settled) const {
  const std::vector<double> expected = expected_s(durations);
  std::vector<double> left_s(plan_.trials.size(), 0);
  bool none_settled = true;
  for (std::size_t t = 0; t < left_s.size(); ++t) {
    bool all = true;
    for (const std::size_t stage : plan_.trials[t].stages) {
      if (settled[stage]) continue;
      left_s[t] += expected[stage];
      all = false;
    }
    none_settled = none_settled && !all;
  }
  std::vector<std::size_t> order(left_s.size());
  std::iota(order.begin(), order.end(), 0);
  std::stable_sort(order.begin(), order.end(),
                   [&](std::size_t a, std::size_t b) { return left_s[a] < left_s[b]; });
  std::vector<StageRank> ranks(size(), std::numeric_limits<StageRank>::max());
  StageRank next = kCriticalRank;
  for (const std::size_t t : order) {
    ++next;
    const StageRank rank = none_settled && t == order.front() ? kFirstRank : next;
    for (const std::size_t stage : plan_.trials[t].stages)
      ranks[stage] = std::min(ranks[stage], rank);
  }
  return ranks;
}

}  // namespace assay::schedule
