#include <fmt/format.h>

#include <utility>

#include "harness/schedule/coordinator.h"

// What happens after a failure: the table of docs/guides/failures.md.

namespace assay::schedule {

void Coordinator::failed(const Attempt& attempt, ErrorKind kind, const std::string& message,
                         std::int64_t peak_bytes) {
  Work& work = work_[attempt.stage];
  bool quarantined = false;
  const bool again = retry_after(work, attempt, kind, peak_bytes, &quarantined);
  actions_.emplace_back(
      RecordAttempt{attempt, std::string(assay::name_of(kind)), message, quarantined});
  if (again) {
    make_ready(attempt.stage);
  } else {
    settle_failed(attempt.stage, std::string(assay::name_of(kind)), message);
  }
}

bool Coordinator::retry_after(Work& work, const Attempt& attempt, ErrorKind kind,
                              std::int64_t peak_bytes, bool* quarantined) {
  const bool advanced = std::exchange(work.checkpointed, false);
  switch (kind) {
    case ErrorKind::kLost:
      if (stopping_) return true;
      work.lost = advanced ? 1 : work.lost + 1;
      return work.lost <= options_.lost_limit;
    case ErrorKind::kCrash:
      work.crashes = advanced ? 0 : work.crashes + 1;
      work.request.avoid = attempt.slot;
      *quarantined = work.crashes > options_.retries;
      return !*quarantined;
    case ErrorKind::kIo:
      return ++work.io_failures <= options_.retries;
    case ErrorKind::kOom:
      return slots_.ask_for_more_memory(work.request, peak_bytes);
    default:
      return false;
  }
}

void Coordinator::settle_failed(StageIndex stage, std::string kind, const std::string& message) {
  Work& work = work_[stage];
  if (work.phase == Phase::kSettled) return;
  work.phase = Phase::kSettled;
  work.settled = plan::StageState::kFailed;
  --unsettled_;
  --open_by_name_[stage_of(stage).name];
  ++counts_.failed;
  actions_.emplace_back(SettleStage{stage, plan::StageState::kFailed, std::move(kind), message});
  fail_trials(stage);
  block_consumers(stage);
  const auto fresh = static_cast<std::int64_t>(counts_.failed_trials) -
                     static_cast<std::int64_t>(failed_trials_before_);
  if (options_.max_failed_trials >= 0 && fresh > options_.max_failed_trials && started_ &&
      !stopping_) {
    begin_stop({StopReason::kCancelled, false,
                fmt::format("{} trials failed, more than max_failures allows ({})", fresh,
                            options_.max_failed_trials)});
    stop_outcome_ = Outcome::kTooManyFailures;
  }
}

void Coordinator::block_consumers(StageIndex failed_stage) {
  const std::string message = "rests on " + stage_of(failed_stage).label + ", which failed";
  std::vector<StageIndex> open{failed_stage};
  while (!open.empty()) {
    const StageIndex stage = open.back();
    open.pop_back();
    for (const StageIndex consumer : graph_.consumers(stage)) {
      Work& work = work_[consumer];
      if (work.phase == Phase::kSettled) continue;
      work.phase = Phase::kSettled;  // it waits for an input, so it is in no queue and on no slot
      work.settled = plan::StageState::kBlocked;
      --unsettled_;
      --open_by_name_[stage_of(consumer).name];
      ++counts_.blocked;
      actions_.emplace_back(SettleStage{consumer, plan::StageState::kBlocked, "", message});
      fail_trials(consumer);
      open.push_back(consumer);
    }
  }
}

void Coordinator::fail_trials(StageIndex stage) {
  for (const std::size_t trial : graph_.trials(stage)) {
    if (trial_failed_[trial]) continue;
    trial_failed_[trial] = true;
    ++counts_.failed_trials;
  }
}

// Nothing has run for a while though something could: it fits nowhere.
void Coordinator::give_up_on_misfits() {
  if (slots_.busy() > 0 || slots_.slots().empty() || idle_since_s_ < 0 ||
      now_s_ - idle_since_s_ < options_.patience_s) {
    return;
  }
  std::vector<StageIndex> misfits;
  for (const auto* group : ready_.groups()) {
    if (slots_.admits_ever(group->request)) continue;
    for (const auto& entry : group->entries) misfits.push_back(entry.stage);
  }
  for (const StageIndex stage : misfits) {
    take_from_queue(stage);
    settle_failed(stage, std::string(assay::name_of(ErrorKind::kEnvironment)),
                  fmt::format("asks for {}; the largest node offers {}",
                              describe(work_[stage].request.resources), slots_.largest_node()));
  }
}

}  // namespace assay::schedule
