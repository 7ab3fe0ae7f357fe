#pragma once

#include <map>
#include <string>

#include "harness/base/json.h"
#include "harness/plan/plan.h"
#include "harness/record/records.h"

namespace assay::record {

// How this run was started.
struct RunStart {
  double unix_s = 0;
  std::string assay_version;
  std::string commit;  // "" if unknown
  bool dirty = false;
  std::string host;
  std::string command_line;
  std::string sweep_text;  // as run, after overrides
  Json options = Json::object();
};

// What earlier runs of the same folder know of one stage.
struct StageHistory {
  StageState state = StageState::kPending;
  int attempts = 0;
  std::string kind;
  std::string message;
  bool quarantined = false;
  std::string digest = {};  // that its result names; "": none, or the result is not what it says
};

struct History {
  std::map<std::string, StageHistory> stages;  // by key
  std::map<std::string, double> stage_wall_s;  // median of done attempts, by stage name
};

// Where a run keeps its records. One thread, the coordinator's. Errors: Error(kEnvironment) for a
// damaged database, Error(kIo) for a full disk; a call that throws left nothing behind.
class RunSink {
 public:
  virtual ~RunSink() = default;

  // What is known before this run; call before begin().
  virtual History history() = 0;

  // Writes sweep, trials, stages and which trial rests on which stage, in one transaction. Repeated
  // on each resume, perhaps with another plan: trials then point to their current keys, older
  // results stay.
  virtual void begin(const plan::Plan& plan, const RunStart& start) = 0;

  // One transaction, durable on return: only afterwards is a stage acknowledged. Rows of metrics
  // and sample sets follow from `result` and Plan::trials. A stage that is recorded again is
  // overwritten, an attempt (key, number) that is there already is left alone.
  virtual void commit(const RecordGroup& group) = 0;

  // How the run ended, with its exit code.
  virtual void end(double unix_s, int exit_code) = 0;
};

}  // namespace assay::record
