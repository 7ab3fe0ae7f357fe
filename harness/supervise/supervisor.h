#pragma once

#include <poll.h>

#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "harness/core/error.h"
#include "harness/core/json.h"
#include "harness/core/protocol.h"
#include "harness/plan/record.h"
#include "harness/plan/stage.h"
#include "harness/supervise/executor.h"
#include "harness/supervise/store.h"

namespace assay::supervise {

struct SlotOptions {
  std::string name;                                // "host/0.1"; enters records and file names
  std::map<std::string, std::string> environment;  // of its executors: CUDA_VISIBLE_DEVICES, ...
};

struct SupervisorOptions {
  std::vector<SlotOptions> slots;
  std::map<std::string, std::vector<std::string>> providers;  // Stage::provider -> command
  std::filesystem::path logs;         // folder <run>/logs; "": output is dropped
  std::string run;                    // run id; scope of stages with CachePolicy::kRun
  Json environment = Json::object();  // facts that join those measured here: assay version, commit
  double stall_timeout_s = 600;       // no progress, metric or checkpoint for so long; 0: none
  double stage_timeout_s = 0;         // of one attempt; 0: none
  double start_timeout_s = 120;       // until an executor says hello
  double publish_window_s = 0.005;    // how long a finished stage waits for others
  std::size_t publish_group = 64;     // how many are published at once
};

// One execution of a stage.
struct Assignment {
  plan::Stage stage;
  int number = 1;                             // attempt number of this stage
  std::map<std::string, std::string> inputs;  // input name -> path of the artifact

  std::string attempt() const { return stage.key + "." + std::to_string(number); }
};

enum class ReportKind {
  kStarted,     // sent to an executor that is ready
  kProgress,    // progress
  kMetric,      // name, value, step
  kCheckpoint,  // step
  kListening,   // address (gangs)
  kPublished,   // durable in the store: artifact, result, record, published
  kFailed       // error, message, record
};

struct Report {
  ReportKind kind = ReportKind::kStarted;
  std::size_t slot = 0;
  std::string attempt;
  std::string key;
  protocol::Progress progress;
  std::string name;
  double value = 0;
  std::int64_t step = 0;
  std::string address;
  Artifact artifact;           // kPublished
  bool first = true;           // kPublished: false: another run had published it meanwhile
  std::string nondeterminism;  // kPublished: how its result differs from ours; "": it does not
  ErrorKind error = ErrorKind::kCrash;  // kFailed
  std::string message;                  // kFailed
  bool checkpointed = false;            // kFailed: a checkpoint was made in this attempt
  plan::AttemptRecord record;           // kPublished, kFailed: complete but for `quarantined`
  std::vector<std::string> resident;    // kPublished: keys that the executor holds now
};

// Owns the slots of this node. A slot has one executor for each provider, started when first
// needed, kept warm, started again after its death. One thread, the main one (executors die with
// the thread that started them).
//
// start() may be called while the slot is busy: the stage waits in the slot's queue. One ahead
// hides the round trip to the coordinator; stages of a few milliseconds deserve more, since what
// finishes within publish_window_s is published with one sync. A finished stage is published at
// once when no slot has work left.
//
// Every started attempt ends with exactly one kPublished or kFailed. Error(kIo) thrown by poll()
// means that the store cannot be written: stop the run.
class Supervisor {
 public:
  Supervisor(Store& store, SupervisorOptions options);
  ~Supervisor();  // kills all executors
  Supervisor(const Supervisor&) = delete;
  Supervisor& operator=(const Supervisor&) = delete;

  std::size_t slots() const;
  std::size_t queued(std::size_t slot) const;  // running and waiting
  bool idle() const;                           // nothing runs, waits or is unpublished

  void start(std::size_t slot, Assignment assignment);

  // Asks for a checkpoint and an early end; killed after `grace_s`. A waiting stage is dropped.
  // Both end as kFailed with kLost. Unknown attempts are ignored: they may just have ended.
  void stop(const std::string& attempt, double grace_s);
  void kill(const std::string& attempt, ErrorKind kind = ErrorKind::kLost,
            const std::string& message = "cancelled");
  void send_peers(const std::string& attempt, const Json& peers, const std::string& secret);

  // Waits until something happens, at most `timeout_s`, or until one of `extra` is ready (its
  // revents are set).
  std::vector<Report> poll(double timeout_s, std::span<pollfd> extra = {});

  // For a driver that polls by itself: descriptors to wait for, and seconds until poll(0) should be
  // called in any case.
  std::vector<pollfd> descriptors() const;
  double seconds_to_deadline() const;

  // Stops everything as stop() does, waits for it, lets the executors leave. Returns the last
  // reports.
  std::vector<Report> close(double grace_s);

 private:
  class Slot;
  class Publisher;
  Store& store_;
  SupervisorOptions options_;
  std::vector<std::unique_ptr<Slot>> slots_;
  std::unique_ptr<Publisher> publisher_;
};

}  // namespace assay::supervise
