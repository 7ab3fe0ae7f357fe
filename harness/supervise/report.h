#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "harness/base/error.h"
#include "harness/base/json.h"
#include "harness/contract/protocol.h"
#include "harness/plan/stage.h"
#include "harness/record/records.h"
#include "harness/supervise/provider_files.h"
#include "harness/supervise/store.h"

// What a supervisor is told and what it answers, as values.

namespace assay::supervise {

struct SlotOptions {
  std::string name;                                // "host/0.1"; enters records and file names
  std::map<std::string, std::string> environment;  // of its executors: CUDA_VISIBLE_DEVICES, ...
};

struct SupervisorOptions {
  std::vector<SlotOptions> slots;
  std::map<std::string, std::vector<std::string>> providers;  // Stage::provider -> command
  ProviderFiles provider_files;       // what each was made of when the run was planned
  std::filesystem::path logs;         // folder <run>/logs; "": output is dropped
  std::string run;                    // run id; scope of stages with CachePolicy::kRun
  Json environment = Json::object();  // facts that join those measured here: assay version, commit
  double stall_timeout_s = 600;       // no progress, metric or checkpoint for so long; 0: none
  double stage_timeout_s = 0;         // of one attempt; 0: none
  double start_timeout_s = 120;       // until an executor says hello
  double claim_after_s = 1;           // a stage that runs so long is kept from other runs
  std::string mark;  // of this supervisor's executors (marked_processes.h); set by the supervisor
  double publish_window_s = 0.03;     // how long a finished stage waits for others
  std::size_t publish_group = 256;    // how many are published at once
};

// One execution of a stage.
struct Assignment {
  plan::Stage stage;
  int number = 1;                             // attempt number of this stage
  std::map<std::string, std::string> inputs;  // input name -> path of the artifact

  std::string attempt() const { return stage.key + "." + std::to_string(number); }
};

enum class ReportKind {
  kStarted,     // sent to an executor that is ready (does not end the wait of poll() by itself)
  kProgress,    // progress
  kCheckpoint,  // step
  kPublished,   // durable in the store: artifact, result, record, published
  kFailed,      // error, message, record
  kFound,  // not run, or in vain: the store holds the result that another run has made; artifact
  kTaken   // not run, or given up: another live run computes it; message names it
};

struct Report {
  ReportKind kind = ReportKind::kStarted;
  std::size_t slot = 0;
  std::string attempt;
  std::string key;
  protocol::Progress progress;
  std::int64_t step = 0;
  Artifact artifact;           // kPublished, kFound
  bool first = true;           // kPublished: false: another run had published it meanwhile
  std::string nondeterminism;  // kPublished: how its result differs from ours; "": it does not
  ErrorKind error = ErrorKind::kCrash;  // kFailed
  std::string message;                  // kFailed
  bool checkpointed = false;            // kFailed: a checkpoint was made in this attempt
  bool unusable = false;  // kFailed: the slot cannot start the provider; no fault of the stage
  std::vector<std::string> lost_inputs;  // kFailed: keys of inputs that are gone from the store
  record::AttemptRecord record;          // kPublished, kFailed: complete but for `quarantined`
};

}  // namespace assay::supervise
