#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "harness/schedule/coordinator.h"

// What happens after a failure: the table of docs/guides/failures.md.

namespace assay::schedule {
namespace {

constexpr std::size_t kDigestDigits = 16;

// What tells two causes of failure apart: the text without keys of stages and what follows them in
// names of files, so that a model that cannot be loaded is one cause in all its stages.
std::string cause_of(const std::string& text) {
  std::string cause;
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t end = std::min(text.find_first_not_of("0123456789abcdef", at), text.size());
    if (end - at < kDigestDigits) {
      cause.append(text, at, std::max<std::size_t>(1, end - at));
      at = std::max(end, at + 1);
      continue;
    }
    cause += '#';
    at = end;
    if (at < text.size() && text[at] == '.')  // <key>.<attempt>
      at = std::min(text.find_first_not_of("0123456789", at + 1), text.size());
  }
  return cause;
}

}  // namespace

void Coordinator::failed(const Attempt& attempt, ErrorKind kind, const std::string& message,
                         std::int64_t peak_bytes) {
  Work& work = work_[attempt.stage];
  bool quarantined = false;
  const bool again = retry_after(work, attempt, kind, peak_bytes, &quarantined);
  actions_.emplace_back(
      RecordAttempt{attempt, std::string(assay::name_of(kind)), message, quarantined});
  if (again) {
    requeue(attempt.stage);
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
  work.settled = record::StageState::kFailed;
  --unsettled_;
  --open_by_name_[stage_of(stage).name];
  ++counts_.failed;
  const std::string cause = kind + ": " + message;
  actions_.emplace_back(SettleStage{stage, record::StageState::kFailed, std::move(kind), message});
  fail_trials(stage);
  block_consumers(stage);
  if (!started_) return;  // a failure of an earlier run
  causes_.insert(cause_of(cause));
  if (too_many_causes() && !stopping_) {
    begin_stop({StopReason::kCancelled, false,
                fmt::format("{} causes of failure, more than max_failures allows ({})",
                            causes_.size(), options_.max_causes)});
    stop_outcome_ = Outcome::kTooManyFailures;
  }
}

bool Coordinator::too_many_causes() const {
  return options_.max_causes >= 0 &&
         causes_.size() > static_cast<std::size_t>(options_.max_causes);
}

void Coordinator::block_consumers(StageIndex failed_stage) {
  const std::string message = "rests on " + stage_of(failed_stage).label + ", which failed";
  std::vector<StageIndex> open{failed_stage};
  while (!open.empty()) {
    const StageIndex stage = open.back();
    open.pop_back();
    for (const StageIndex consumer : graph_.consumers(stage)) {
      if (work_[consumer].phase != Phase::kWaiting) continue;  // done, or it has read the input
      settle_blocked(consumer, message);
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
