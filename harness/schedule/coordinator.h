#pragma once

#include <map>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "harness/plan/plan.h"
#include "harness/schedule/durations.h"
#include "harness/schedule/event.h"
#include "harness/schedule/ready_queue.h"
#include "harness/schedule/slot_pool.h"
#include "harness/schedule/work_graph.h"

namespace assay::schedule {

struct Options {
  int retries = 2;               // more tries after io, and after a crash without progress
  int lost_limit = 20;  // tries in a row that may be taken away; after one more a stage is given up
  double stop_grace_s = 30;      // for a last checkpoint
  double patience_s = 30;        // how long nothing may run though something could
  double reserve_after_s = 60;   // a stage that is passed over this long gets a node kept for it
  double ahead_horizon_s = 5;    // a stage is queued behind one that ends within this time
  double deep_horizon_s = 0.25;  // more are queued while what is on the slot ends within this time
  std::size_t deepest = 128;     // but never more than this behind what runs
  double time_limit_at_s = -1;   // on the clock of `now`; -1: none
  int slot_strikes = 5;          // failed starts of a provider until a slot gets no more of it
  double slot_backoff_s = 1;     // after the first; doubled with each further one
  std::int64_t max_causes = -1;  // more causes of failure than this stop the sweep; -1: no limit
  std::map<std::string, double> stage_wall_s;  // learned durations by stage name
};

// What is known of a stage before the run.
struct Known {
  bool in_store = false;
  int attempts = 0;     // made by earlier runs
  bool failed = false;  // and not to be tried again
  std::string kind;     // of that failure
  std::string message;
};

struct Counts {
  std::size_t total = 0;   // stages of the plan that are needed or in the store
  std::size_t reused = 0;  // were in the store
  std::size_t done = 0;    // ran and published, reused not counted
  std::size_t failed = 0;
  std::size_t blocked = 0;
  std::size_t running = 0;
  std::size_t failed_trials = 0;
};

// Decides what runs where. A state machine without I/O or clock: the same events give the same
// actions. `now` is in seconds on any clock that does not go back. Cost of an event: logarithmic in
// the number of stages, linear in the number of distinct resource requests and of nodes.
//
// Policy: the trial with the least work first, for a first row; then trial by trial, the one with
// the least work left first, so that a board fills from the first minutes; but a stage whose
// remaining path takes half of the time that is left, or more, goes first, longest path first, so
// that the end of the run does not wait for it. Within that on a
// slot whose executor holds the stage's model; short stages get one more queued behind them, very
// short ones many (what ends together is published with one sync); exclusive stages wait
// for each other and for a moment when the slots of a node end together, and get it drained, as
// does one passed over for long; failures as docs/guides/failures.md says. The plan must outlive
// it. One thread. Stages start in coordinator_dispatch.cpp; coordinator_failures.cpp decides what
// follows a failure, coordinator_slots.cpp what follows a slot's, coordinator_sharing.cpp what
// follows from the store and from other runs.
class Coordinator {
 public:
  // `known`: one a stage. Throws Error(kConfig) for a plan that is no graph.
  Coordinator(const plan::Plan& plan, Options options, const std::vector<Known>& known);

  // Call once, first: what is decided before any slot joins (blocked stages, nothing to do).
  Actions start(double now);
  Actions on(const Event& event, double now);

  bool finished() const { return finished_; }
  bool stopping() const { return stopping_; }
  Counts counts() const;
  record::StageState state(StageIndex stage) const { return work_[stage].settled; }
  bool needed(StageIndex stage) const { return work_[stage].needed; }
  const SlotPool& slots() const { return slots_; }
  std::size_t ready() const { return ready_.size(); }
  // Expected seconds to the end: remaining work over slots, and not less than the longest path.
  double expected_remaining_s() const;

 private:
  enum class Phase { kWaiting, kReady, kReserved, kPlaced, kElsewhere, kSettled };
  struct Work {
    Phase phase = Phase::kWaiting;
    record::StageState settled = record::StageState::kPending;
    bool needed = false;
    bool available = false;  // its artifact is in the store, as far as is known
    bool reused = false;     // and was not made by this run
    std::size_t missing_inputs = 0;
    std::size_t open_consumers = 0;  // that must publish before a temporary artifact goes
    int attempts = 0;
    int crashes = 0;
    int io_failures = 0;
    int lost = 0;
    bool checkpointed = false;  // since the present attempt started
    std::int64_t checkpoint_step = -1;
    double path_s = 0;
    StageRank rank = kCriticalRank;
    double ready_since_s = 0;
    ReadyQueue::Request request;
  };

  void handle(const SlotJoined& event);
  void handle(const SlotLost& event);
  void handle(const StageDone& event);
  void handle(const StageFound& event);
  void handle(const StageTaken& event);
  void handle(const StageFreed& event);
  void handle(const InputsLost& event);
  void handle(const StageFailed& event);
  void handle(const StageCheckpointed& event);
  void handle(const StageReturned& event);
  void handle(const Tick& event);
  void handle(const StopRequested& event);

  // coordinator_failures.cpp
  void failed(const Attempt& attempt, ErrorKind kind, const std::string& message,
              std::int64_t peak_bytes);
  bool retry_after(Work& work, const Attempt& attempt, ErrorKind kind, std::int64_t peak_bytes,
                   bool* quarantined);
  void settle_failed(StageIndex stage, std::string kind, const std::string& message);
  void block_consumers(StageIndex stage);
  void fail_trials(StageIndex stage);
  void give_up_on_misfits();
  bool too_many_causes() const;

  // coordinator_slots.cpp
  void strike(const Attempt& attempt, const std::string& message);
  void absolve(const Attempt& attempt);
  void forgive();
  bool nothing_can_start() const;

  // coordinator_sharing.cpp
  void revive(StageIndex stage);
  void hold_back(StageIndex stage);
  void block_if_inputs_failed(StageIndex stage);
  void settle_blocked(StageIndex stage, const std::string& message);

  // coordinator_dispatch.cpp
  void make_ready(StageIndex stage);
  void requeue(StageIndex stage);
  void take_from_queue(StageIndex stage);
  void dispatch();
  bool place_one();
  bool place_first_exclusive();
  bool place_before_drain();
  std::optional<double> drained_at_s(const std::string& node, bool all) const;
  bool place_reserved();
  void place(StageIndex stage, SlotId slot);
  void fill_ahead(SlotId slot);
  std::optional<double> known_s(StageIndex stage) const;
  bool wants_more(const Slot& slot, std::size_t share, std::optional<double> busy_s) const;
  void fill_all_ahead();
  std::optional<SlotId> first_to_end() const;
  double waiting_s(const Slot& slot) const;
  void retract_waiting();
  StageIndex prefer_resident(const ReadyQueue::Group& group, StageIndex top, SlotId slot) const;
  bool starts_in_time(StageIndex stage) const;
  void reorder();  // paths and ranks anew from what was learned; linear, so called now and then
  void order_work(const std::vector<bool>& settled);
  bool worth_reordering(bool fresh) const;
  double work_left_s() const;  // over all slots
  bool exclusive_is_due(const ReadyQueue::Group& first);
  double running_for_s(const Slot& slot) const;
  double busy_for_s(const Slot& slot) const;
  double emptying_s(const std::string& node) const;
  std::optional<std::string> node_to_empty(const ReadyQueue::Request& request) const;

  bool current(const Attempt& attempt, bool* ahead = nullptr);
  void stop_promoted(SlotId id);
  void leave_slot(const Attempt& attempt, bool ahead);
  void settle_done(StageIndex stage, bool reused);
  void begin_stop(const StopRequested& request);
  void finish_if_over();
  void finish(Outcome outcome, std::string message);
  const plan::Stage& stage_of(StageIndex stage) const { return plan_.stages[stage]; }

  const plan::Plan& plan_;
  const Options options_;
  WorkGraph graph_;
  Durations durations_;
  std::vector<Work> work_;
  std::vector<bool> trial_failed_;
  std::map<std::string, std::size_t> open_by_name_;  // unsettled needed stages, for the forecast
  std::map<std::string, bool, std::less<>> checkpoints_by_name_;
  ReadyQueue ready_;
  SlotPool slots_;
  Actions actions_;
  double now_s_ = 0;
  double idle_since_s_ = -1;  // nothing runs since; -1: something does
  bool started_ = false;
  std::size_t unsettled_ = 0;
  std::size_t learned_ = 0;   // samples of durations
  double ordered_at_s_ = 0;  // work left when the order was made
  std::size_t exclusive_started_ = 0;
  bool exclusive_open_ = false;  // a batch of exclusive stages is being started
  std::size_t reserved_ = 0;  // stages that nodes are kept for
  struct Trouble {            // of a slot with a provider
    int strikes = 0;
    double until_s = 0;
    bool retired = false;
  };
  std::map<std::pair<SlotId, std::string>, Trouble> troubles_;
  std::string last_trouble_;
  std::set<std::string> causes_;  // of failures in this run
  Counts counts_;
  bool held_by_time_ = false;  // something was not started because of the time limit
  bool stopping_ = false;
  double stop_grace_s_ = 0;
  bool killed_ = false;
  Outcome stop_outcome_ = Outcome::kStopped;
  std::string stop_message_;
  bool finished_ = false;
};

}  // namespace assay::schedule
