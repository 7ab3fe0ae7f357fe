#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "harness/run/conductor.h"
#include "harness/supervise/host.h"

// What a conductor makes of a store that other runs use too: results that they made, stages that
// they are at, artifacts that have gone.

namespace assay::run {

using schedule::StageIndex;

std::string Conductor::scope_of(StageIndex stage) const {
  return plan_.stages[stage].cache == CachePolicy::kRun ? run_id_ : "";
}

void Conductor::take_found(StageIndex stage, std::optional<schedule::Attempt> attempt,
                           const supervise::Artifact& artifact) {
  inventory_.artifacts[stage] = artifact.path;
  found_ = &artifact;
  feed(schedule::StageFound{stage, attempt});
  found_ = nullptr;
}

void Conductor::take_taken(const schedule::Attempt& attempt, const std::string& holder) {
  elsewhere_.insert(attempt.stage);
  progress_.line(
      fmt::format("waiting for {}, which {} computes", plan_.stages[attempt.stage].label, holder));
  feed(schedule::StageTaken{attempt});
}

// Asks for the results of stages that other runs compute. The claim first: what is published before
// it goes is found after.
void Conductor::look_elsewhere() {
  for (auto it = elsewhere_.begin(); it != elsewhere_.end();) {
    const StageIndex stage = *it;
    const std::string& key = plan_.stages[stage].key;
    const bool claimed = !store_.claimed_by_other(key, run_id_).empty();
    const auto artifact = store_.find(key);
    if (!artifact && claimed) {
      ++it;
      continue;
    }
    it = elsewhere_.erase(it);
    if (artifact) {
      take_found(stage, std::nullopt, *artifact);
    } else {
      feed(schedule::StageFreed{stage});
    }
  }
}

// A supervisor missed inputs; on a network file system it may only see them late.
void Conductor::take_inputs_lost(const schedule::Attempt& attempt,
                                 const supervise::Report& report) {
  std::vector<StageIndex> gone;
  for (const std::string& key : report.lost_inputs) {
    const auto input = index_of_.find(key);
    if (input == index_of_.end()) continue;
    if (const auto artifact = store_.lookup(key, scope_of(input->second))) {
      inventory_.artifacts[input->second] = artifact->path;
    } else {
      gone.push_back(input->second);
    }
  }
  feed(schedule::InputsLost{attempt, gone, report.message});
}

void Conductor::decide(const schedule::ReviveStage& action) {
  const plan::Stage& stage = plan_.stages[action.stage];
  const std::string message = stage.label + " is gone from the store and is made again";
  inventory_.artifacts[action.stage].clear();
  record::StageRecord record;
  record.key = stage.key;
  group_.stages.push_back(std::move(record));
  group_.events.push_back({supervise::unix_seconds(), "artifact_lost", stage.key, message});
  progress_.line(message);
  std::vector<std::size_t>& trials = trials_of_[action.stage];
  if (trials.empty()) {  // it was not needed when the run started
    for (std::size_t t = 0; t < plan_.trials.size(); ++t) {
      const auto& stages = plan_.trials[t].stages;
      if (std::find(stages.begin(), stages.end(), action.stage) != stages.end())
        trials.push_back(t);
    }
  }
  for (const std::size_t trial : trials) trials_done_ -= open_stages_[trial]++ == 0 ? 1 : 0;
}

void Conductor::decide(const schedule::RetireSlot& action) {
  const auto state = slots_.find(action.slot);
  const std::string slot = state == slots_.end() ? "a slot" : state->second.shown.name;
  const std::string message =
      fmt::format("{} gets no more stages of provider '{}', which it cannot start: {}", slot,
                  action.provider, action.message);
  group_.events.push_back({supervise::unix_seconds(), "slot_retired", "", message});
  progress_.line(message);
}

}  // namespace assay::run
