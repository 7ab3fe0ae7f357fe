#pragma once

#include <functional>
#include <string>
#include <vector>

#include "harness/run/conductor.h"

namespace assay::run {

struct InventoryRequest {
  std::string run;  // run id, for stages that are valid in one run only
  bool retry_failed = false;
  std::vector<std::string> force;  // stage names, or at least 8 digits of a key
  std::function<void()> alive;     // called now and then: artifacts may have to be hashed
};

// Looks every stage up in the store, which is the truth, and in what the database knows. Forced
// stages and what rests on them are removed from the store. Throws Error(kConfig) for a name in
// `force` that no stage of the plan has.
Inventory take_inventory(const plan::Plan& plan, const record::History& history,
                         supervise::Store& store, const InventoryRequest& request);

// Whether a failure of this kind says nothing about the stage: the next run tries again by itself.
bool worth_another_try(const std::string& kind);

// The record of a stage whose artifact was found in the store.
record::StageRecord found_in_store(const plan::Stage& stage, const supervise::Artifact& artifact);

// Providers that have at least `stages` stages still to run.
std::vector<std::string> providers_with_work(const plan::Plan& plan, const Inventory& inventory,
                                             std::size_t stages);

}  // namespace assay::run
