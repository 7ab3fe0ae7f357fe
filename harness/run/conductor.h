#pragma once

#include <filesystem>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <unordered_map>
#include <vector>

#include "harness/record/sink.h"
#include "harness/run/progress.h"
#include "harness/run/run_status.h"
#include "harness/run/supervisor_handle.h"
#include "harness/schedule/coordinator.h"
#include "harness/supervise/store.h"

namespace assay::run {

// What the store and the database know of a run before it starts.
struct Inventory {
  std::vector<schedule::Known> known;              // one a stage
  std::vector<std::filesystem::path> artifacts;    // of the stages in the store
  std::vector<record::StageRecord> missing_records;  // in the store, but not in the database
};

// Stands between the coordinator, which decides, and supervisors, store and database, which do:
// turns reports into events, and actions into commands and records. Commands go out only after the
// records of the same round are durable, so what is acknowledged is never lost. One thread.
// Where what a run does goes to. All outlive it.
struct RunOutlets {
  supervise::Store& store;
  record::RunSink& sink;
  RunProgress& progress;
};

class Conductor {
 public:
  using SupervisorId = std::size_t;

  Conductor(const plan::Plan& plan, const std::string& run_id, schedule::Options options,
            Inventory inventory, const RunOutlets& outlets);

  void start();
  SupervisorId join(SupervisorHandle& supervisor, const SupervisorOffer& offer);
  void leave(SupervisorId supervisor, const std::string& reason);
  void take(SupervisorId supervisor, const supervise::Report& report);
  void tick();
  // `grace_s`: for a last checkpoint; -1: as the coordinator's options say.
  void stop(schedule::StopReason reason, bool kill, const std::string& message,
            double grace_s = -1);

  // Per-sample values of metrics are kept in this folder of the run too (run_samples.h).
  void keep_samples_in(const std::filesystem::path& run);

  // Temporary artifacts stay in the store.
  void keep_temporary() { keep_temporary_ = true; }

  // Ends a round: commits what was recorded, then sends the commands. While another process holds
  // the database the records wait for the next round, and with them all commands but those that end
  // something. Throws what else the sink throws.
  void settle();
  bool settled() const { return group_.empty() && commands_.empty(); }

  const std::optional<schedule::Finish>& finish() const { return finish_; }
  schedule::Counts counts() const { return coordinator_.counts(); }
  bool stopping() const { return coordinator_.stopping(); }
  RunStatus status() const;
  const std::vector<RunStatus::Failure>& failures() const { return failures_; }

 private:
  struct SlotState {
    SupervisorId supervisor = 0;
    std::size_t index = 0;  // slot of that supervisor
    RunStatus::Slot shown;
    std::string attempt;  // what the supervisor says that it runs
  };
  struct JoinedSupervisor {
    SupervisorHandle* handle = nullptr;
    std::string host;
    std::vector<schedule::SlotId> slots;
  };

  void feed(const schedule::Event& event);
  std::optional<schedule::Attempt> attempt_of(SupervisorId supervisor,
                                              const supervise::Report& report) const;
  void note_report(SlotState& state, const supervise::Report& report);
  void stop_if_disk_is_full();
  void decide(const schedule::ReviveStage& action);
  void decide(const schedule::RetireSlot& action);

  // run_conductor_store.cpp
  void take_found(schedule::StageIndex stage, std::optional<schedule::Attempt> attempt,
                  const supervise::Artifact& artifact);
  void take_taken(const schedule::Attempt& attempt, const std::string& holder);
  void take_inputs_lost(const schedule::Attempt& attempt, const supervise::Report& report);
  void look_elsewhere();
  std::string scope_of(schedule::StageIndex stage) const;
  void decide(const schedule::RecordAttempt& action);
  void decide(const schedule::SettleStage& action);
  void perform(const schedule::Action& action);
  std::string ended_by(const schedule::Action& action) const;
  bool commit();
  void send(const schedule::Action& action);
  void send_start(const schedule::StartStage& action);
  void drop(schedule::StageIndex stage);
  void keep_samples_of(schedule::StageIndex stage);
  std::string attempt_text(const schedule::Attempt& attempt) const;

  const plan::Plan& plan_;
  const std::string run_id_;
  schedule::Coordinator coordinator_;
  Inventory inventory_;
  supervise::Store& store_;
  record::RunSink& sink_;
  RunProgress& progress_;
  std::unordered_map<std::string, schedule::StageIndex> index_of_;  // by key; look-ups only
  std::vector<JoinedSupervisor> supervisors_;
  std::map<schedule::SlotId, SlotState> slots_;
  schedule::SlotId next_slot_ = 0;
  std::set<std::string> started_;               // attempts that a supervisor has started
  std::set<std::string> retracted_;             // that were asked back
  std::set<schedule::StageIndex> elsewhere_;    // that other runs compute
  const supervise::Report* report_ = nullptr;   // that led to the actions being decided
  const supervise::Artifact* found_ = nullptr;  // the same, of a stage that the store held
  record::RecordGroup group_;
  std::vector<schedule::Action> commands_;
  std::vector<std::size_t> open_stages_;  // of each trial, not yet done
  std::vector<std::vector<std::size_t>> trials_of_;
  std::size_t trials_done_ = 0;
  std::vector<RunStatus::Failure> failures_;
  double started_unix_s_ = 0;
  bool keep_temporary_ = false;
  bool held_ = false;                  // another process holds the database
  std::filesystem::path samples_run_;  // "": samples stay in the store only
  std::vector<bool> is_metric_;        // of each stage
  std::optional<schedule::Finish> finish_;
};

}  // namespace assay::run
