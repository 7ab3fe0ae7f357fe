#include "harness/run/conductor.h"

#include <fmt/format.h>
#include <unistd.h>

#include <charconv>
#include <utility>

#include "harness/base/error.h"
#include "harness/base/log.h"
#include "harness/run/inventory.h"
#include "harness/run/results_database.h"
#include "harness/run/sample_files.h"
#include "harness/supervise/host.h"

namespace assay::run {
namespace {

// What a stage took: of one that went on from checkpoints with the time that these had taken.
double wall_of(const supervise::Report& report) {
  const Json& result = report.artifact.result;
  const Json cost = result.is_object() ? result.value("cost", Json()) : Json();
  const Json wall_s = cost.is_object() ? cost.value("wall_s", Json()) : Json();
  return wall_s.is_number() ? wall_s.get<double>()
                            : report.record.ended_unix_s - report.record.started_unix_s;
}

using schedule::StageIndex;
using supervise::Report;
using supervise::ReportKind;

constexpr std::uintmax_t kLeastFreeBytes = std::uintmax_t{16} << 20;

bool ends_attempt(ReportKind kind) {
  return kind == ReportKind::kPublished || kind == ReportKind::kFailed ||
         kind == ReportKind::kFound || kind == ReportKind::kTaken;
}

}  // namespace

Conductor::Conductor(const plan::Plan& plan, const std::string& run_id, schedule::Options options,
                     Inventory inventory, const RunOutlets& outlets)
    : plan_(plan),
      run_id_(run_id),
      coordinator_(plan, std::move(options), inventory.known),
      inventory_(std::move(inventory)),
      store_(outlets.store),
      sink_(outlets.sink),
      progress_(outlets.progress),
      open_stages_(plan.trials.size(), 0),
      trials_of_(plan.stages.size()),
      started_unix_s_(supervise::unix_seconds()) {
  for (StageIndex i = 0; i < plan.stages.size(); ++i) index_of_.emplace(plan.stages[i].key, i);
  for (std::size_t t = 0; t < plan.trials.size(); ++t) {
    for (const std::size_t stage : plan.trials[t].stages) {
      if (!coordinator_.needed(stage)) continue;
      trials_of_[stage].push_back(t);
      ++open_stages_[t];
    }
    trials_done_ += open_stages_[t] == 0 ? 1 : 0;
  }
  for (StageIndex i = 0; i < plan.stages.size(); ++i) {
    const auto& known = inventory_.known[i];
    if (coordinator_.needed(i) && known.failed) {
      failures_.push_back(
          {plan.stages[i].label, plan.stages[i].key, known.kind, known.message, ""});
    }
  }
}

void Conductor::keep_samples_in(const std::filesystem::path& run) {
  samples_run_ = run;
  is_metric_.assign(plan_.stages.size(), false);
  for (const plan::PlannedTrial& trial : plan_.trials) {
    for (const plan::PlannedMetric& metric : trial.metrics) is_metric_[metric.stage] = true;
  }
  for (StageIndex i = 0; i < plan_.stages.size(); ++i) {
    if (inventory_.known[i].in_store) keep_samples_of(i);
  }
}

// They are in the store in any case, so a failure costs a warning only.
void Conductor::keep_samples_of(StageIndex stage) {
  if (samples_run_.empty() || !is_metric_[stage]) return;
  try {
    keep_samples(samples_run_, plan_.stages[stage].key, inventory_.artifacts[stage]);
  } catch (const Error& e) {
    log_warning("{}", e.what());
    samples_run_.clear();
  }
}

void Conductor::start() {
  group_.stages = std::exchange(inventory_.missing_records, {});
  for (auto& action : coordinator_.start(supervise::monotonic_seconds())) perform(action);
  settle();
}

Conductor::SupervisorId Conductor::join(SupervisorHandle& supervisor,
                                        const SupervisorOffer& offer) {
  const SupervisorId id = supervisors_.size();
  supervisors_.push_back({&supervisor, offer.host, {}});
  for (std::size_t i = 0; i < offer.slots.size(); ++i) {
    const schedule::SlotId slot = next_slot_++;
    supervisors_[id].slots.push_back(slot);
    SlotState& state = slots_[slot];
    state.supervisor = id;
    state.index = i;
    state.shown.name = offer.slots[i];
  }
  for (const schedule::SlotId slot : supervisors_[id].slots) {
    feed(schedule::SlotJoined{{slot, offer.host, offer.share}});
  }
  return id;
}

void Conductor::leave(SupervisorId id, const std::string& reason) {
  JoinedSupervisor& supervisor = supervisors_.at(id);
  for (const schedule::SlotId slot : std::exchange(supervisor.slots, {})) {
    feed(schedule::SlotLost{slot, reason});
    slots_.erase(slot);
  }
  supervisor.handle = nullptr;
  group_.events.push_back(
      {supervise::unix_seconds(), "slot_lost", "", supervisor.host + ": " + reason});
  progress_.line(fmt::format("lost {}: {}", supervisor.host, reason));
}

std::optional<schedule::Attempt> Conductor::attempt_of(SupervisorId supervisor,
                                                       const Report& report) const {
  const auto stage = index_of_.find(report.key);
  if (stage == index_of_.end() || report.slot >= supervisors_.at(supervisor).slots.size())
    return std::nullopt;
  const std::size_t dot = report.attempt.rfind('.');
  int number = 0;
  if (dot == std::string::npos ||
      std::from_chars(report.attempt.data() + dot + 1,
                      report.attempt.data() + report.attempt.size(), number)
              .ec != std::errc{}) {
    return std::nullopt;
  }
  return schedule::Attempt{stage->second, supervisors_[supervisor].slots[report.slot], number};
}

void Conductor::take(SupervisorId supervisor, const Report& report) {
  const auto attempt = attempt_of(supervisor, report);
  if (!attempt) return;
  note_report(slots_.at(attempt->slot), report);
  const auto& record = report.record;
  const double wall_s = wall_of(report);
  report_ = &report;
  switch (report.kind) {
    case ReportKind::kStarted:
      started_.insert(report.attempt);
      break;
    case ReportKind::kCheckpoint:
      feed(schedule::StageCheckpointed{*attempt, report.step});
      break;
    case ReportKind::kPublished:
      if (!report.nondeterminism.empty()) {
        const std::string& label = plan_.stages[attempt->stage].label;
        group_.events.push_back({supervise::unix_seconds(), "nondeterminism", report.key,
                                 label + ": " + report.nondeterminism});
        progress_.line(fmt::format("nondeterminism in {}: {}", label, report.nondeterminism));
      }
      inventory_.artifacts[attempt->stage] = report.artifact.path;
      keep_samples_of(attempt->stage);
      feed(schedule::StageDone{*attempt, wall_s, record.peak_memory_bytes.value_or(-1)});
      break;
    case ReportKind::kFound:
      take_found(attempt->stage, attempt, report.artifact);
      break;
    case ReportKind::kTaken:
      take_taken(*attempt, report.message);
      break;
    case ReportKind::kFailed:
      if (retracted_.erase(report.attempt) > 0 && !started_.contains(report.attempt) &&
          report.error == ErrorKind::kLost) {
        feed(schedule::StageReturned{*attempt});
      } else if (!report.lost_inputs.empty()) {
        take_inputs_lost(*attempt, report);
      } else {
        if (report.checkpointed) feed(schedule::StageCheckpointed{*attempt, report.step});
        feed(schedule::StageFailed{*attempt, report.error, report.message,
                                   record.peak_memory_bytes.value_or(-1), report.unusable});
        if (report.error == ErrorKind::kIo) stop_if_disk_is_full();
      }
      break;
    default:
      break;
  }
  report_ = nullptr;
  if (ends_attempt(report.kind)) {
    started_.erase(report.attempt);
    retracted_.erase(report.attempt);
  }
}

// Every stage would fail alike: the run ends at once and goes on when there is space.
void Conductor::stop_if_disk_is_full() {
  std::error_code code;
  const auto space = std::filesystem::space(store_.root(), code);
  if (code || space.available >= kLeastFreeBytes) return;
  stop(schedule::StopReason::kEnvironment, false,
       fmt::format("the disk of the store is full: {} MiB left at {}; make room (`assay store gc`) "
                   "and give the same command again",
                   space.available >> 20, store_.root().string()));
}

void Conductor::note_report(SlotState& state, const Report& report) {
  RunStatus::Slot& shown = state.shown;
  switch (report.kind) {
    case ReportKind::kStarted:
      state.attempt = report.attempt;
      shown.stage = plan_.stages[index_of_.at(report.key)].label;
      shown.since_unix_s = supervise::unix_seconds();
      shown.done = shown.total = 0;
      break;
    case ReportKind::kProgress:
      if (state.attempt != report.attempt) break;
      shown.done = report.progress.done;
      shown.total = report.progress.total;
      shown.unit = report.progress.unit;
      break;
    default:
      if (ends_attempt(report.kind) && state.attempt == report.attempt) shown.stage.clear();
      break;
  }
}

void Conductor::tick() {
  look_elsewhere();
  feed(schedule::Tick{});
}

void Conductor::stop(schedule::StopReason reason, bool kill, const std::string& message,
                     double grace_s) {
  feed(schedule::StopRequested{reason, kill, message, grace_s});
}

void Conductor::feed(const schedule::Event& event) {
  for (const auto& action : coordinator_.on(event, supervise::monotonic_seconds())) {
    perform(action);
  }
}

// Records at once, commands after the commit.
void Conductor::perform(const schedule::Action& action) {
  if (const auto* record = std::get_if<schedule::RecordAttempt>(&action)) {
    decide(*record);
  } else if (const auto* settled = std::get_if<schedule::SettleStage>(&action)) {
    decide(*settled);
  } else if (const auto* revived = std::get_if<schedule::ReviveStage>(&action)) {
    decide(*revived);
  } else if (const auto* retired = std::get_if<schedule::RetireSlot>(&action)) {
    decide(*retired);
  } else if (const auto* end = std::get_if<schedule::Finish>(&action)) {
    finish_ = *end;
  } else {
    commands_.push_back(action);
  }
}

void Conductor::decide(const schedule::RecordAttempt& action) {
  const plan::Stage& stage = plan_.stages[action.attempt.stage];
  record::AttemptRecord record;
  if (report_ != nullptr && report_->attempt == attempt_text(action.attempt)) {
    record = report_->record;
  } else {  // its slot was lost with it
    const SlotState& state = slots_.at(action.attempt.slot);
    record.slot = state.shown.name;
    record.host = supervisors_[state.supervisor].host;
    record.started_unix_s = state.shown.since_unix_s;
    record.ended_unix_s = supervise::unix_seconds();
  }
  record.key = stage.key;
  record.number = action.attempt.number;
  record.outcome = action.outcome;
  record.message = action.message;
  record.quarantined = action.quarantined;
  if (action.outcome != "done") {
    progress_.line(fmt::format("{} {} on {}, attempt {}{}: {}", action.outcome, stage.label,
                               record.slot, record.number,
                               action.quarantined ? " (quarantined)" : "", action.message));
  }
  group_.attempts.push_back(std::move(record));
}

void Conductor::decide(const schedule::SettleStage& action) {
  const plan::Stage& stage = plan_.stages[action.stage];
  record::StageRecord record;
  record.key = stage.key;
  record.state = action.state;
  record.kind = action.kind;
  record.message = action.message;
  std::string log;
  if (found_ != nullptr && action.reused) {
    record = found_in_store(stage, *found_);
  } else if (report_ != nullptr && report_->key == stage.key) {
    record.wall_s = wall_of(*report_);
    log = report_->record.log_path;
    if (action.state == record::StageState::kDone) {
      record.result = report_->artifact.result;
      record.size_bytes = report_->artifact.size_bytes;
    }
  }
  if (action.state == record::StageState::kDone) {
    const auto counts = coordinator_.counts();
    progress_.line(fmt::format("{} {}/{} {} {}", action.reused ? "found" : "done",
                               counts.done + counts.reused, counts.total, stage.label,
                               duration_text(record.wall_s)));
    for (const std::size_t trial : trials_of_[action.stage]) {
      trials_done_ += --open_stages_[trial] == 0 ? 1 : 0;
    }
  } else if (action.state == record::StageState::kFailed) {
    failures_.push_back({stage.label, stage.key, action.kind, action.message, log});
  }
  group_.stages.push_back(std::move(record));
}

void Conductor::settle() {
  const bool durable = commit();
  std::vector<schedule::Action> waiting;
  std::set<std::string> unsent;  // attempts whose start waits: so does their end
  for (const schedule::Action& action : std::exchange(commands_, {})) {
    const std::string ending = ended_by(action);
    if (durable || (!ending.empty() && !unsent.contains(ending))) {
      send(action);
      continue;
    }
    if (const auto* start = std::get_if<schedule::StartStage>(&action)) {
      unsent.insert(attempt_text(start->attempt));
    }
    waiting.push_back(action);
  }
  commands_.insert(commands_.begin(), waiting.begin(), waiting.end());
}

// The attempt that an action ends; "" if it is no such action.
std::string Conductor::ended_by(const schedule::Action& action) const {
  if (const auto* stop = std::get_if<schedule::StopStage>(&action)) {
    return attempt_text(stop->attempt);
  }
  if (const auto* kill = std::get_if<schedule::KillStage>(&action)) {
    return attempt_text(kill->attempt);
  }
  if (const auto* retract = std::get_if<schedule::RetractStage>(&action)) {
    return attempt_text(retract->attempt);
  }
  return "";
}

// False while another process holds the database.
bool Conductor::commit() {
  if (group_.empty()) return true;
  try {
    sink_.commit(group_);
  } catch (const Error& e) {
    if (!is_held_elsewhere(e)) throw;
    if (!std::exchange(held_, true)) {
      progress_.line(
          fmt::format("{}: the run waits; what it computed is safe in the store", e.what()));
    }
    return false;
  }
  group_ = {};
  if (std::exchange(held_, false)) progress_.line("the results database is free again");
  return true;
}

void Conductor::send(const schedule::Action& action) {
  const auto supervisor_of = [this](const schedule::Attempt& attempt) -> SupervisorHandle* {
    const auto slot = slots_.find(attempt.slot);
    return slot == slots_.end() ? nullptr : supervisors_[slot->second.supervisor].handle;
  };
  if (const auto* start = std::get_if<schedule::StartStage>(&action)) {
    send_start(*start);
  } else if (const auto* dropped = std::get_if<schedule::DropArtifact>(&action)) {
    drop(dropped->stage);
  } else if (const auto* stop = std::get_if<schedule::StopStage>(&action)) {
    if (SupervisorHandle* supervisor = supervisor_of(stop->attempt))
      supervisor->stop(attempt_text(stop->attempt), stop->grace_s);
  } else if (const auto* kill = std::get_if<schedule::KillStage>(&action)) {
    if (SupervisorHandle* supervisor = supervisor_of(kill->attempt))
      supervisor->kill(attempt_text(kill->attempt));
  } else if (const auto* retract = std::get_if<schedule::RetractStage>(&action)) {
    SupervisorHandle* supervisor = supervisor_of(retract->attempt);
    if (supervisor == nullptr) return;
    retracted_.insert(attempt_text(retract->attempt));
    supervisor->retract(attempt_text(retract->attempt));
  }
}

void Conductor::send_start(const schedule::StartStage& action) {
  const auto slot = slots_.find(action.attempt.slot);
  if (slot == slots_.end()) return;  // lost in the same round: the coordinator knows
  supervise::Assignment assignment;
  assignment.stage = plan_.stages[action.attempt.stage];
  assignment.number = action.attempt.number;
  for (const plan::StageInput& input : assignment.stage.inputs) {
    assignment.inputs[input.name] = inventory_.artifacts[index_of_.at(input.key)].string();
  }
  supervisors_[slot->second.supervisor].handle->start(slot->second.index, assignment);
}

// Another live run may be reading it: then it is left to `store gc`.
void Conductor::drop(StageIndex stage) {
  if (keep_temporary_) return;
  store_.remove_unless_wanted(plan_.stages[stage].key, run_id_, scope_of(stage));
}

std::string Conductor::attempt_text(const schedule::Attempt& attempt) const {
  return plan_.stages[attempt.stage].key + "." + std::to_string(attempt.number);
}

RunStatus Conductor::status() const {
  RunStatus status;
  const auto counts = coordinator_.counts();
  const auto number = [](std::size_t n) { return static_cast<std::int64_t>(n); };
  status.run = plan_.sweep;
  status.state = coordinator_.stopping() ? "stopping" : "running";
  status.host = supervise::host_name();
  status.pid = ::getpid();
  static const supervise::ProcessIdentity kProcess = supervise::this_process();
  status.process = kProcess;
  status.started_unix_s = started_unix_s_;
  status.updated_unix_s = supervise::unix_seconds();
  status.stages_total = number(counts.total);
  status.stages_done = number(counts.done);
  status.stages_reused = number(counts.reused);
  status.stages_failed = number(counts.failed);
  status.stages_blocked = number(counts.blocked);
  status.trials_total = number(plan_.trials.size());
  status.trials_done = number(trials_done_);
  status.trials_failed = number(counts.failed_trials);
  status.eta_s = coordinator_.expected_remaining_s();
  for (const auto& [id, slot] : slots_) status.slots.push_back(slot.shown);
  const std::size_t skip =
      failures_.size() > RunStatus::kMaxFailures ? failures_.size() - RunStatus::kMaxFailures : 0;
  status.failures.assign(failures_.begin() + static_cast<std::ptrdiff_t>(skip), failures_.end());
  return status;
}

}  // namespace assay::run
