#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "harness/plan/plan.h"
#include "harness/schedule/durations.h"
#include "harness/schedule/event.h"

namespace assay::schedule {

// Where a stage stands in the order of work: until a trial is complete, what the first one needs
// (kFirstRank); then kCriticalRank; then trial by trial, the trial with the least work left first;
// then what no trial needs.
using StageRank = std::uint32_t;
inline constexpr StageRank kFirstRank = 0;
inline constexpr StageRank kCriticalRank = 1;

// Who waits for whom in a plan, and how much work lies behind each stage. Indices are those of
// Plan::stages, which lists inputs before consumers. The plan must outlive it.
class WorkGraph {
 public:
  // Throws Error(kConfig) if an input is not an earlier stage of the plan, or two keys are equal.
  explicit WorkGraph(const plan::Plan& plan);

  std::size_t size() const { return inputs_.size(); }
  const std::vector<StageIndex>& inputs(StageIndex stage) const { return inputs_[stage]; }
  const std::vector<StageIndex>& consumers(StageIndex stage) const { return consumers_[stage]; }
  const std::vector<std::size_t>& trials(StageIndex stage) const { return trials_[stage]; }

  // Which stages must run when those `in_store` need not: what is kept and missing, and what such a
  // stage consumes, transitively. A temporary artifact whose consumers are all there is not missed.
  std::vector<bool> needed(const std::vector<bool>& in_store) const;

  // Expected seconds from the start of a stage to the end of the longest chain of unsettled work
  // behind it. A settled stage has 0.
  std::vector<double> remaining_path_s(const Durations& durations,
                                       const std::vector<bool>& settled) const;

  // The rank of each stage by its trials: those of the trial with the least expected work left get
  // kCriticalRank + 1 (kFirstRank while no trial is settled), those that only the next trial needs
  // one more, and so on; equal trials keep the order of the plan. So trials are completed one after
  // the other, and most of a board is there early.
  std::vector<StageRank> ranks(const Durations& durations, const std::vector<bool>& settled) const;

 private:
  std::vector<double> expected_s(const Durations& durations) const;  // of each stage

  const plan::Plan& plan_;
  std::vector<std::vector<StageIndex>> inputs_;
  std::vector<std::vector<StageIndex>> consumers_;
  std::vector<std::vector<std::size_t>> trials_;  // trials that rest on a stage
};

}  // namespace assay::schedule
