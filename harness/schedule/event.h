#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "harness/base/error.h"
#include "harness/contract/catalogue.h"
#include "harness/record/records.h"

// What the coordinator is told and what it answers. Values only: the drivers (local, MPI,
// simulation) turn descriptors, messages or virtual time into events, and carry out actions.

namespace assay::schedule {

using SlotId = int;              // unique in a run, given by the driver, never used again
using StageIndex = std::size_t;  // into Plan::stages

// Room for one executor. The slots of a node share what they offer together.
struct SlotOffer {
  SlotId id = 0;
  std::string node;  // host: slots of several ranks on one host name the same node
  Resources offer;   // its share of the node; memory 0: not known, so not checked
};

// Names one execution: events about another attempt than the current one are dropped.
struct Attempt {
  StageIndex stage = 0;
  SlotId slot = 0;
  int number = 0;

  bool operator==(const Attempt&) const = default;
};

// ---- events

struct SlotJoined {
  SlotOffer slot;
};
struct SlotLost {
  SlotId slot = 0;
  std::string reason;
};
// The artifact is published, or lay in the store already.
struct StageDone {
  Attempt attempt;
  double wall_s = 0;
  std::int64_t peak_memory_bytes = 0;
};
struct StageFailed {
  Attempt attempt;
  ErrorKind kind = ErrorKind::kCrash;
  std::string message;
  std::int64_t peak_memory_bytes = 0;
  bool unusable = false;  // the slot could not start the stage's provider: no fault of the stage
};
// Its artifact lay in the store when it was about to start, or appeared there while another run
// computed it (then it is on no slot).
struct StageFound {
  StageIndex stage = 0;
  std::optional<Attempt> attempt;
};
// Another run computes it: the slot takes other work, the stage waits for StageFound or StageFreed.
struct StageTaken {
  Attempt attempt;
};
// The other run has given it up.
struct StageFreed {
  StageIndex stage = 0;
};
// The attempt failed because artifacts that it reads are gone from the store.
struct InputsLost {
  Attempt attempt;
  std::vector<StageIndex> inputs;
  std::string message;
};
struct StageCheckpointed {
  Attempt attempt;
  std::int64_t step = 0;
};
// A stage that was queued ahead and taken back before it started.
struct StageReturned {
  Attempt attempt;
};
struct Tick {};  // about once a second: time limits and patience
enum class StopReason { kSignal, kTimeLimit, kCancelled, kEnvironment };
struct StopRequested {
  StopReason reason = StopReason::kSignal;
  bool kill = false;  // at once, without a checkpoint
  std::string message;
  double grace_s = -1;  // for a last checkpoint; -1: Options::stop_grace_s
};
using Event =
    std::variant<SlotJoined, SlotLost, StageDone, StageFound, StageTaken, StageFreed, InputsLost,
                 StageFailed, StageCheckpointed, StageReturned, Tick, StopRequested>;

// ---- actions, to be done in order

struct StartStage {
  Attempt attempt;
  bool ahead = false;  // start it when the slot's present stage has ended
};
struct StopStage {
  Attempt attempt;
  double grace_s = 0;  // a last checkpoint, then killed
};
struct KillStage {
  Attempt attempt;
};
struct RetractStage {
  Attempt attempt;  // answered by StageReturned unless it has started
};
// An attempt ended; a row of the database.
struct RecordAttempt {
  Attempt attempt;
  std::string outcome;  // "done" or an ErrorKind name
  std::string message;
  bool quarantined = false;
};
// A stage was decided; a row of the database.
struct SettleStage {
  StageIndex stage = 0;
  record::StageState state = record::StageState::kDone;
  std::string kind;
  std::string message;
  bool reused = false;  // done, and made by another run
};
// A stage that was done is pending again: its artifact is gone from the store.
struct ReviveStage {
  StageIndex stage = 0;
};
// The slot could not start the provider several times in a row and gets no more of its stages.
struct RetireSlot {
  SlotId slot = 0;
  std::string provider;
  std::string message;
};
// The last consumer of a temporary artifact has published.
struct DropArtifact {
  StageIndex stage = 0;
};
enum class Outcome {
  kAllDone,
  kSomeFailed,
  kTooManyFailures,  // max_failures was reached: stopped early
  kStopped,          // signal, time limit, cancel: the same command resumes
  kEnvironment       // no usable slot, disk full
};
struct Finish {
  Outcome outcome = Outcome::kAllDone;
  std::string message;
};
using Action = std::variant<StartStage, StopStage, KillStage, RetractStage, RecordAttempt,
                            SettleStage, ReviveStage, RetireSlot, DropArtifact, Finish>;
using Actions = std::vector<Action>;

}  // namespace assay::schedule
