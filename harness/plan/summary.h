#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "harness/plan/plan.h"

namespace assay::plan {

// What earlier runs tell of a stage, by its kind (kind_of) or, where that is not known, its name.
struct Costs {
  std::map<std::string, double> wall_s;              // mean of done attempts
  std::map<std::string, std::int64_t> size_bytes;    // of an artifact in the store
  std::map<std::string, std::int64_t> memory_bytes;  // highest resident set of an attempt
};

// The label of a stage without what does not move its cost: seeds and the number of a shard.
std::string kind_of(std::string_view label);

// The stages of one name.
struct StageSummary {
  std::string name;
  std::int64_t stages = 0;           // distinct
  std::int64_t uses = 0;             // trials that rest on them, each stage counted for each trial
  std::int64_t shared = 0;           // of `stages`: serve more than one trial
  std::int64_t done = 0;             // in the store already
  std::optional<double> expected_s;  // of all that is to run and known
  std::optional<std::int64_t> memory_bytes;  // of the largest
  std::optional<std::int64_t> size_bytes;    // of all that is to run and known
};

struct TrialSummary {
  std::string id;
  std::string label;
  std::int64_t stages = 0;
  std::int64_t done = 0;
  bool deterministic = false;  // nothing that it rests on draws random numbers
  std::int64_t points = 1;     // of the sweep that are this trial
};

// Pairs of trial and evaluation that were left out for one reason.
struct LeftOutSummary {
  std::string metric;
  std::string reason;
  std::int64_t pairs = 0;
  std::string example;  // label of the first trial
};

// What `assay plan` prints.
struct PlanSummary {
  std::string sweep;
  std::int64_t trials = 0;
  std::int64_t points = 0;  // of the sweep; those that differ in what a trial never reads are one
  std::int64_t stages = 0;
  std::int64_t done = 0;
  std::int64_t unshared_stages = 0;  // that would run if trials shared nothing
  std::optional<double> expected_s;  // of one slot for all that is to run; nothing: no stage known
  std::optional<double> expected_wall_s;  // of `slots` slots
  std::int64_t slots = 1;
  std::int64_t stages_without_cost = 0;          // to run, not part of expected_s
  std::optional<std::int64_t> memory_bytes;      // of the stage that takes most
  std::optional<std::int64_t> peak_store_bytes;  // grown by one slot in the order of the plan
  std::vector<StageSummary> by_stage;            // in the order of the plan
  std::vector<TrialSummary> by_trial;
  std::vector<LeftOutSummary> left_out;
  std::vector<Impossible> impossible;
};

// `is_done`: whether the store holds the artifact of a key. `slots`: that the stages will share.
PlanSummary describe_plan(const Plan& plan,
                          const std::function<bool(const std::string& key)>& is_done,
                          const Costs& costs = {}, std::int64_t slots = 1);

}  // namespace assay::plan
