#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "harness/base/json.h"

// What a run records of its stages, as values: the conductor fills them, the results database
// writes them.

namespace assay::record {

enum class StageState {
  kPending,  // not decided yet: waiting, running, or lost with the run that ran it
  kDone,     // its artifact is in the store
  kFailed,   // recorded with a kind and a message
  kBlocked   // something that it rests on failed
};

constexpr std::string_view name_of(StageState state) {
  constexpr std::string_view kNames[] = {"pending", "done", "failed", "blocked"};
  return kNames[static_cast<int>(state)];
}

// One execution of a stage on a slot, however it ended. Its fields are the columns of the table
// `attempt` and the members of messages between ranks.
struct AttemptRecord {
  std::string key;
  int number = 1;       // 1, 2, ... for this stage over all runs of the run folder
  std::string outcome;  // "done", or an ErrorKind name: "crash", "lost", ...
  std::string message;  // of a failure
  Json context = Json::object();
  bool quarantined = false;  // the crash that took the stage out of the run
  std::string slot;          // "host/0.1": rank 0, slot 1 of that host
  std::string host;
  double started_unix_s = 0;  // wall clock
  double ended_unix_s = 0;
  std::optional<double> cpu_s;  // user + system
  std::optional<std::int64_t> peak_memory_bytes;
  std::optional<int> exit_code;  // of an executor that ended
  int signal = 0;
  std::string log_path;               // relative to the run folder
  Json environment = Json::object();  // what provenance names: CPU, versions, threads, ...

  // All but `environment`, which many attempts share.
  static void fields(auto& r, auto&& visit) {
    visit("stage", r.key);
    visit("number", r.number);
    visit("outcome", r.outcome);
    visit("message", r.message);
    visit("context", r.context);
    visit("quarantined", r.quarantined);
    visit("slot", r.slot);
    visit("host", r.host);
    visit("started_unix_s", r.started_unix_s);
    visit("ended_unix_s", r.ended_unix_s);
    visit("cpu_s", r.cpu_s);
    visit("peak_memory_bytes", r.peak_memory_bytes);
    visit("exit_code", r.exit_code);
    visit("signal", r.signal);
    visit("log_path", r.log_path);
  }
};

// A stage whose state was decided.
struct StageRecord {
  std::string key;
  StageState state = StageState::kPending;
  std::string kind;     // of a failure: ErrorKind name
  std::string message;  // of a failure; of a blocked stage: label of what failed before it
  bool reused = false;  // found in the store, not run here
  Json result =
      Json::object();  // result.json of a done stage: {"metrics": ..., "fingerprint": ...}
  std::int64_t size_bytes = -1;  // of its artifact in the store
  double wall_s = -1;            // of the attempt that made it
};

struct EventRecord {
  double unix_s = 0;
  std::string
      kind;         // "slot_joined", "slot_lost", "stopped", "nondeterminism", "store_rebuilt", ...
  std::string key;  // stage, or ""
  std::string message;
};

// What becomes durable together: all or nothing.
struct RecordGroup {
  std::vector<AttemptRecord> attempts;
  std::vector<StageRecord> stages;
  std::vector<EventRecord> events;

  bool empty() const { return attempts.empty() && stages.empty() && events.empty(); }
};

}  // namespace assay::record
