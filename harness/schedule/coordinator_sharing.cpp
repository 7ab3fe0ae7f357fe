#include "harness/schedule/coordinator.h"

#include <algorithm>

// What follows from the store, which other runs share: results that they made, stages that they are
// at, and artifacts that have gone.

namespace assay::schedule {

void Coordinator::handle(const StageFound& event) {
  Work& work = work_[event.stage];
  if (event.attempt) {
    bool ahead = false;
    if (!current(*event.attempt, &ahead)) return;
    leave_slot(*event.attempt, ahead);
  } else if (work.phase != Phase::kElsewhere) {
    return;
  }
  settle_done(event.stage, true);
}

void Coordinator::handle(const StageTaken& event) {
  bool ahead = false;
  if (!current(event.attempt, &ahead)) return;
  leave_slot(event.attempt, ahead);
  work_[event.attempt.stage].phase = Phase::kElsewhere;
}

void Coordinator::handle(const StageFreed& event) {
  if (work_[event.stage].phase == Phase::kElsewhere) requeue(event.stage);
}

void Coordinator::handle(const InputsLost& event) {
  bool ahead = false;
  if (!current(event.attempt, &ahead)) return;
  const StageIndex stage = event.attempt.stage;
  leave_slot(event.attempt, ahead);
  actions_.emplace_back(RecordAttempt{event.attempt, "lost", event.message, false});
  work_[stage].phase = Phase::kWaiting;
  for (const StageIndex input : event.inputs) revive(input);
  if (++work_[stage].lost > options_.lost_limit) {
    settle_failed(stage, std::string(name_of(ErrorKind::kLost)), event.message);
  } else {
    requeue(stage);
  }
}

// Its artifact is gone: it runs again, and what it reads if that is gone too.
void Coordinator::revive(StageIndex stage) {
  Work& work = work_[stage];
  if (work.phase != Phase::kSettled || work.settled != record::StageState::kDone) return;
  const std::string& name = stage_of(stage).name;
  if (!work.available && !work.needed) {
    ++counts_.total;  // a temporary artifact that nobody missed so far
  } else {
    --(work.reused ? counts_.reused : counts_.done);
  }
  work.phase = Phase::kWaiting;
  work.settled = record::StageState::kPending;
  work.needed = true;
  ++unsettled_;
  ++open_by_name_[name];
  actions_.emplace_back(ReviveStage{stage});
  work.path_s = durations_.expected_s(name);
  for (const StageIndex consumer : graph_.consumers(stage)) {
    work.path_s = std::max(work.path_s, durations_.expected_s(name) + work_[consumer].path_s);
    if (work.available) hold_back(consumer);
  }
  work.available = false;
  work.missing_inputs = 0;
  for (const StageIndex input : graph_.inputs(stage)) {
    ++work_[input].open_consumers;
    if (work_[input].available) continue;
    ++work.missing_inputs;
    revive(input);
  }
  if (work.missing_inputs == 0) {
    make_ready(stage);
  } else {
    block_if_inputs_failed(stage);
  }
}

// One more input is missing.
void Coordinator::hold_back(StageIndex stage) {
  Work& work = work_[stage];
  if (work.phase == Phase::kSettled) return;
  ++work.missing_inputs;
  if (work.phase == Phase::kReady) {
    take_from_queue(stage);
    work.phase = Phase::kWaiting;
  } else if (work.phase == Phase::kReserved) {
    slots_.release(stage);
    --reserved_;
    work.phase = Phase::kWaiting;
  }
}

void Coordinator::block_if_inputs_failed(StageIndex stage) {
  for (const StageIndex input : graph_.inputs(stage)) {
    const Work& read = work_[input];
    if (read.phase != Phase::kSettled || read.settled == record::StageState::kDone) continue;
    settle_blocked(stage, "rests on " + stage_of(input).label + ", which failed");
    block_consumers(stage);
    return;
  }
}

void Coordinator::settle_blocked(StageIndex stage, const std::string& message) {
  Work& work = work_[stage];
  work.phase = Phase::kSettled;
  work.settled = record::StageState::kBlocked;
  --unsettled_;
  --open_by_name_[stage_of(stage).name];
  ++counts_.blocked;
  actions_.emplace_back(SettleStage{stage, record::StageState::kBlocked, "", message});
  fail_trials(stage);
}

}  // namespace assay::schedule
