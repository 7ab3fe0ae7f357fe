#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "harness/base/json.h"
#include "harness/supervise/process_identity.h"

namespace assay::run {

// The state of a run at one moment: status.json in the run folder, renamed into place at most once
// a second, so that `assay status` never opens the live database.
struct RunStatus {
  struct Slot {
    std::string name;   // "host/0.1"
    std::string stage;  // label of what runs; "": idle
    double since_unix_s = 0;
    std::int64_t done = 0;
    std::int64_t total = 0;  // 0: no progress was reported
    std::string unit;
  };
  struct Failure {
    std::string stage;  // label
    std::string key;
    std::string kind;
    std::string message;
    std::string log;  // relative to the run folder, or ""
  };

  std::string run;    // name of the sweep
  std::string state;  // running, stopping, done, failed, stopped, error
  std::string host;
  std::int64_t pid = 0;
  std::optional<supervise::ProcessIdentity> process;  // nothing: written by an older version
  double started_unix_s = 0;
  double updated_unix_s = 0;
  std::int64_t stages_total = 0;
  std::int64_t stages_done = 0;    // run here and published
  std::int64_t stages_reused = 0;  // were in the store
  std::int64_t stages_failed = 0;
  std::int64_t stages_blocked = 0;
  std::int64_t trials_total = 0;
  std::int64_t trials_done = 0;
  std::int64_t trials_failed = 0;
  double eta_s = -1;   // -1: not known
  int exit_code = -1;  // -1: it runs
  std::vector<Slot> slots;
  std::vector<Failure> failures;  // the latest kMaxFailures
  static constexpr std::size_t kMaxFailures = 100;
};

Json to_json(const RunStatus& status);
// Throws Error(kData) for what is no status.
RunStatus run_status_from(const Json& json);

enum class RunLiveness {
  kEnded,  // says so itself
  kLive,
  kGone,   // its process is not there any more
  kSilent  // cannot be seen from here, and has not renewed its status for RunLock::kStaleSeconds
};
RunLiveness liveness_of(const RunStatus& status, double now_unix_s);

// "3 d 4 h", "12 min 5 s", "0.4 s"
std::string duration_text(double seconds);

}  // namespace assay::run
