#include "harness/run/inventory.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <set>
#include <string_view>
#include <unordered_set>

#include "harness/base/log.h"
#include "harness/base/suggest.h"

namespace assay::run {
namespace {

constexpr std::size_t kShortestKey = 8;

bool names(const std::string& forced, const plan::Stage& stage) {
  return stage.name == forced || (forced.size() >= kShortestKey && stage.key.starts_with(forced));
}

std::vector<bool> forced_stages(const plan::Plan& plan, const std::vector<std::string>& force) {
  std::vector<bool> forced(plan.stages.size(), false);
  if (force.empty()) return forced;
  std::set<std::string> legal;
  for (const auto& stage : plan.stages) legal.insert(stage.name);
  for (const std::string& wanted : force) {
    bool found = false;
    for (std::size_t i = 0; i < plan.stages.size(); ++i) {
      if (!names(wanted, plan.stages[i])) continue;
      forced[i] = found = true;
    }
    if (!found) {
      throw Error(ErrorKind::kConfig,
                  fmt::format("--force {}: the plan has no such stage{}", wanted,
                              suggestion(wanted, {legal.begin(), legal.end()})));
    }
  }
  // What reads them, too; not what only waits for them (Plan::after): it holds nothing of theirs.
  std::unordered_set<std::string_view> keys;
  for (std::size_t i = 0; i < forced.size(); ++i) {  // inputs come before consumers
    for (const plan::StageInput& input : plan.stages[i].inputs)
      forced[i] = forced[i] || keys.contains(input.key);
    if (forced[i]) keys.insert(plan.stages[i].key);
  }
  return forced;
}

}  // namespace

bool worth_another_try(const std::string& kind) {
  return kind == "lost" || kind == "io" || kind == "environment";
}

record::StageRecord found_in_store(const plan::Stage& stage, const supervise::Artifact& artifact) {
  record::StageRecord record;
  record.key = stage.key;
  record.state = record::StageState::kDone;
  record.reused = true;
  record.result = artifact.result;
  record.size_bytes = artifact.size_bytes;
  if (const auto cost = artifact.result.find("cost");
      cost != artifact.result.end() && cost->is_object()) {
    const auto wall = cost->find("wall_s");
    if (wall != cost->end() && wall->is_number()) record.wall_s = wall->get<double>();
  }
  return record;
}

Inventory take_inventory(const plan::Plan& plan, const record::History& history,
                         supervise::Store& store, const InventoryRequest& request) {
  Inventory inventory;
  inventory.known.resize(plan.stages.size());
  inventory.artifacts.resize(plan.stages.size());
  const std::vector<bool> forced = forced_stages(plan, request.force);
  std::size_t damaged_records = 0;
  for (std::size_t i = 0; i < plan.stages.size(); ++i) {
    if (request.alive) request.alive();
    const plan::Stage& stage = plan.stages[i];
    const std::string scope = stage.cache == CachePolicy::kRun ? request.run : "";
    schedule::Known& known = inventory.known[i];
    const auto past = history.stages.find(stage.key);
    const bool recorded = past != history.stages.end();
    if (recorded) known.attempts = past->second.attempts;
    if (forced[i]) {
      store.remove(stage.key, scope);
      store.remove_checkpoints(stage.key, request.run);
      continue;
    }
    if (const auto artifact = store.lookup(stage.key, scope)) {
      known.in_store = true;
      inventory.artifacts[i] = artifact->path;
      const bool done = recorded && past->second.state == record::StageState::kDone;
      const bool same = done && past->second.digest == artifact->result.at("digest");
      if (!same) inventory.missing_records.push_back(found_in_store(stage, *artifact));
      damaged_records += done && !same ? 1 : 0;
    } else if (recorded && past->second.state == record::StageState::kFailed &&
               !request.retry_failed && !worth_another_try(past->second.kind)) {
      known.failed = true;
      known.kind = past->second.kind;
      known.message = past->second.message;
    }
  }
  if (damaged_records > 0) {
    log_warning(
        "the results database differs from the store for {} stages; their results are copied from "
        "the store again",
        damaged_records);
  }
  return inventory;
}

std::vector<std::string> providers_with_work(const plan::Plan& plan, const Inventory& inventory,
                                             std::size_t stages) {
  std::map<std::string, std::size_t> missing;
  for (std::size_t i = 0; i < plan.stages.size(); ++i) {
    const schedule::Known& known = inventory.known[i];
    if (!known.in_store && !known.failed) ++missing[plan.stages[i].provider];
  }
  std::vector<std::string> busy;
  for (const auto& [provider, count] : missing) {
    if (count >= stages) busy.push_back(provider);
  }
  return busy;
}

}  // namespace assay::run
