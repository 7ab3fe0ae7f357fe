#include "harness/schedule/coordinator.h"

#include <algorithm>
#include <utility>

namespace assay::schedule {

Coordinator::Coordinator(const plan::Plan& plan, Options options, const std::vector<Known>& known)
    : plan_(plan),
      options_(std::move(options)),
      graph_(plan),
      durations_(options_.stage_wall_s),
      work_(plan.stages.size()),
      trial_failed_(plan.trials.size(), false) {
  if (known.size() != work_.size()) {
    throw Error(ErrorKind::kConfig, "coordinator: one Known a stage is needed");
  }
  std::vector<bool> in_store(work_.size());
  for (StageIndex i = 0; i < work_.size(); ++i) in_store[i] = known[i].in_store;
  const std::vector<bool> needed = graph_.needed(in_store);

  for (StageIndex i = 0; i < work_.size(); ++i) {
    Work& work = work_[i];
    work.needed = needed[i];
    work.available = work.reused = in_store[i];
    work.attempts = known[i].attempts;
    work.request = {stage_of(i).resources, stage_of(i).exclusive, -1, stage_of(i).provider};
    for (const StageIndex input : graph_.inputs(i)) work.missing_inputs += in_store[input] ? 0 : 1;
    for (const StageIndex user : graph_.consumers(i)) work.open_consumers += in_store[user] ? 0 : 1;
    if (!needed[i]) {
      work.phase = Phase::kSettled;
      work.settled = record::StageState::kDone;
      counts_.reused += in_store[i] ? 1 : 0;
    } else {
      ++unsettled_;
      ++open_by_name_[stage_of(i).name];
    }
    counts_.total += needed[i] || in_store[i] ? 1 : 0;
  }
  order_work(in_store);
  for (StageIndex i = 0; i < work_.size(); ++i) {
    if (needed[i] && known[i].failed) settle_failed(i, known[i].kind, known[i].message);
  }
  // The database has the old failures already; what they block may be new.
  std::erase_if(actions_, [](const Action& action) {
    const auto* settle = std::get_if<SettleStage>(&action);
    return settle != nullptr && settle->state == record::StageState::kFailed;
  });
}

Actions Coordinator::start(double now) {
  started_ = true;
  now_s_ = now;
  idle_since_s_ = now;
  for (StageIndex i = 0; i < work_.size(); ++i) {
    if (work_[i].phase == Phase::kWaiting && work_[i].missing_inputs == 0) make_ready(i);
  }
  finish_if_over();
  return std::exchange(actions_, {});
}

Actions Coordinator::on(const Event& event, double now) {
  if (finished_) return {};
  now_s_ = std::max(now_s_, now);
  std::visit([this](const auto& e) { handle(e); }, event);
  dispatch();
  // After dispatch, which gives a slot that has run dry its next stage.
  if (std::holds_alternative<StageFound>(event)) fill_all_ahead();
  if (const auto* done = std::get_if<StageDone>(&event)) {
    if (ready_.size() >= slots_.busy()) {
      fill_ahead(done->attempt.slot);
    } else {
      fill_all_ahead();
    }
    retract_waiting();
  }
  finish_if_over();
  return std::exchange(actions_, {});
}

bool Coordinator::current(const Attempt& attempt, bool* ahead) {
  const Slot* slot = slots_.find(attempt.slot);
  if (slot == nullptr || attempt.stage >= work_.size()) return false;
  const bool waits = slot->find_waiting(attempt) != nullptr;
  if (ahead != nullptr) *ahead = waits;
  return waits || (slot->running && slot->running->attempt == attempt);
}

void Coordinator::handle(const SlotJoined& event) {
  slots_.join(event.slot);
  const std::size_t slots = slots_.slots().size();
  if ((slots & (slots - 1)) == 0) reorder();  // how many there are decides what is critical
}

void Coordinator::leave_slot(const Attempt& attempt, bool ahead) {
  if (ahead) {
    slots_.drop_waiting(attempt);
  } else {
    slots_.end_running(attempt.slot, now_s_);
    stop_promoted(attempt.slot);
  }
}

// What waited behind a stage that ended may have begun before it could be taken back.
void Coordinator::stop_promoted(SlotId id) {
  Slot* slot = slots_.find(id);
  if (!stopping_ || slot == nullptr || !slot->running) return;
  slot->running->stopping = true;
  if (killed_) {
    actions_.emplace_back(KillStage{slot->running->attempt});
  } else {
    actions_.emplace_back(StopStage{slot->running->attempt, stop_grace_s_});
  }
}

void Coordinator::handle(const SlotLost& event) {
  const auto slot = slots_.leave(event.slot);
  if (!slot) return;
  std::erase_if(troubles_, [&](const auto& entry) { return entry.first.first == event.slot; });
  for (const Occupant& next : slot->waiting) requeue(next.attempt.stage);
  if (slot->running) failed(slot->running->attempt, ErrorKind::kLost, event.reason, 0);
  for (StageIndex i = 0; i < work_.size() && reserved_ > 0; ++i) {
    // A node that was kept for a stage may have gone with its last slot.
    if (work_[i].phase != Phase::kReserved) continue;
    const auto kept = slots_.reserved();
    if (std::find(kept.begin(), kept.end(), i) == kept.end()) {
      --reserved_;
      make_ready(i);
    }
  }
}

void Coordinator::handle(const StageDone& event) {
  bool ahead = false;
  if (!current(event.attempt, &ahead)) return;
  const StageIndex stage = event.attempt.stage;
  leave_slot(event.attempt, ahead);
  absolve(event.attempt);
  actions_.emplace_back(RecordAttempt{event.attempt, "done", "", false});
  const bool fresh = !durations_.known(stage_of(stage).name);
  durations_.learn(stage_of(stage).name, event.wall_s);
  ++learned_;
  settle_done(stage, false);
  if (worth_reordering(fresh)) reorder();
}

void Coordinator::settle_done(StageIndex stage, bool reused) {
  Work& work = work_[stage];
  work.phase = Phase::kSettled;
  work.settled = record::StageState::kDone;
  work.available = true;
  work.reused = reused;
  --unsettled_;
  --open_by_name_[stage_of(stage).name];
  ++(reused ? counts_.reused : counts_.done);
  actions_.emplace_back(SettleStage{stage, record::StageState::kDone, "", "", reused});
  for (const StageIndex consumer : graph_.consumers(stage)) {
    Work& next = work_[consumer];
    if (next.phase == Phase::kSettled) continue;
    if (--next.missing_inputs == 0 && next.phase == Phase::kWaiting) make_ready(consumer);
  }
  for (const StageIndex input : graph_.inputs(stage)) {
    Work& read = work_[input];
    if (--read.open_consumers == 0 && stage_of(input).retention == Retention::kTemporary &&
        read.settled == record::StageState::kDone) {
      read.available = false;
      actions_.emplace_back(DropArtifact{input});
    }
  }
}

void Coordinator::handle(const StageFailed& event) {
  bool ahead = false;
  if (!current(event.attempt, &ahead)) return;
  Slot& slot = *slots_.find(event.attempt.slot);
  ErrorKind kind = event.kind;
  // What ends a stage that we stopped is our doing, not its own.
  if (!ahead && slot.running->stopping &&
      (kind == ErrorKind::kTimeout || kind == ErrorKind::kCrash)) {
    kind = ErrorKind::kLost;
  }
  leave_slot(event.attempt, ahead);
  if (event.unusable) {
    strike(event.attempt, event.message);
    work_[event.attempt.stage].request.avoid = event.attempt.slot;
    actions_.emplace_back(
        RecordAttempt{event.attempt, std::string(name_of(event.kind)), event.message, false});
    requeue(event.attempt.stage);
    return;
  }
  absolve(event.attempt);
  if (kind == ErrorKind::kCrash || kind == ErrorKind::kLost || kind == ErrorKind::kTimeout) {
    slots_.forget_residents(event.attempt.slot);
  }
  failed(event.attempt, kind, event.message, event.peak_memory_bytes);
}

void Coordinator::handle(const StageCheckpointed& event) {
  if (!current(event.attempt)) return;
  Work& work = work_[event.attempt.stage];
  checkpoints_by_name_[stage_of(event.attempt.stage).name] = true;
  if (event.step <= work.checkpoint_step) return;
  work.checkpoint_step = event.step;
  work.checkpointed = true;
}

void Coordinator::handle(const StageReturned& event) {
  bool ahead = false;
  if (!current(event.attempt, &ahead)) return;
  leave_slot(event.attempt, ahead);
  requeue(event.attempt.stage);
}

void Coordinator::handle(const Tick&) {
  if (options_.time_limit_at_s >= 0 && !stopping_ &&
      now_s_ >= options_.time_limit_at_s - options_.stop_grace_s) {
    begin_stop({StopReason::kTimeLimit, false, "time limit"});
  }
  forgive();
  if (stopping_) return;
  retract_waiting();
  fill_all_ahead();
  give_up_on_misfits();
}

void Coordinator::handle(const StopRequested& event) { begin_stop(event); }

void Coordinator::begin_stop(const StopRequested& request) {
  if (!stopping_) {
    stop_outcome_ =
        request.reason == StopReason::kEnvironment ? Outcome::kEnvironment : Outcome::kStopped;
    stop_message_ = request.message;
  }
  const bool again = stopping_;
  stopping_ = true;
  if (again && (killed_ || !request.kill)) return;
  killed_ = request.kill;
  stop_grace_s_ = request.grace_s >= 0 ? request.grace_s : options_.stop_grace_s;
  for (const auto& [id, slot] : slots_.slots()) {
    Slot& mine = *slots_.find(id);
    for (Occupant& next : mine.waiting) {
      if (next.stopping) continue;
      next.stopping = true;
      actions_.emplace_back(RetractStage{next.attempt});
    }
    if (!mine.running) continue;
    mine.running->stopping = true;
    if (request.kill) {
      actions_.emplace_back(KillStage{mine.running->attempt});
    } else {
      actions_.emplace_back(StopStage{mine.running->attempt, stop_grace_s_});
    }
  }
}

void Coordinator::finish_if_over() {
  if (finished_) return;
  if (slots_.busy() > 0) {
    idle_since_s_ = -1;
    return;
  }
  if (idle_since_s_ < 0) idle_since_s_ = now_s_;
  if (unsettled_ == 0) {
    const bool failures = counts_.failed + counts_.blocked > 0;
    if (stopping_ && stop_outcome_ == Outcome::kTooManyFailures) {
      finish(stop_outcome_, stop_message_);
    } else {
      finish(failures ? Outcome::kSomeFailed : Outcome::kAllDone, "");
    }
  } else if (stopping_) {
    finish(stop_outcome_, stop_message_);
  } else if (held_by_time_ && reserved_ == 0) {
    finish(Outcome::kStopped, "what is left would not end before the time limit");
  } else if (slots_.slots().empty() && now_s_ - idle_since_s_ >= options_.patience_s) {
    finish(Outcome::kEnvironment, "no usable slot");
  } else if (nothing_can_start()) {
    finish(Outcome::kEnvironment, "no usable slot: " + last_trouble_);
  }
}

void Coordinator::finish(Outcome outcome, std::string message) {
  finished_ = true;
  actions_.emplace_back(Finish{outcome, std::move(message)});
}

Counts Coordinator::counts() const {
  Counts result = counts_;
  result.running = slots_.busy();
  return result;
}

double Coordinator::work_left_s() const {
  double work_s = 0;
  for (const auto& [name, open] : open_by_name_) {
    work_s += static_cast<double>(open) * durations_.expected_s(name);
  }
  return work_s;
}

double Coordinator::expected_remaining_s() const {
  double work_s = work_left_s();
  double longest_s = 0;
  for (const auto& [id, slot] : slots_.slots()) {
    if (!slot.running) continue;
    const double elapsed_s = now_s_ - slot.running->since_s;
    const StageIndex stage = slot.running->attempt.stage;
    const double own_s = durations_.expected_s(stage_of(stage).name);
    work_s -= std::min(elapsed_s, own_s);
    longest_s = std::max(longest_s, work_[stage].path_s - std::min(elapsed_s, own_s));
  }
  for (const auto* group : ready_.groups()) {
    longest_s = std::max(longest_s, group->entries.begin()->path_s);
  }
  const auto seats = static_cast<double>(std::max<std::size_t>(1, slots_.slots().size()));
  return std::max({0.0, longest_s, work_s / seats});
}

}  // namespace assay::schedule
