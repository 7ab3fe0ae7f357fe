#pragma once

#include <filesystem>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "harness/base/error.h"
#include "harness/record/sink.h"
#include "harness/run/load_plan.h"

namespace assay::run {

struct RunRequest {
  SweepRequest sweep;
  std::filesystem::path out;       // --out; "": runs/<sweep name>
  int jobs = 0;                    // --jobs; 0: as the sweep says
  bool retry_failed = false;       // --retry-failed
  std::vector<std::string> force;  // --force: stage names, or the first digits of a key
  bool quiet = false;
  std::string command_line;  // as typed, for provenance
};

struct RunHooks {
  // Opens the database of a run folder. Throws Error(kEnvironment) or Error(kData) if it is
  // damaged: then it is moved aside and opened anew.
  std::function<std::unique_ptr<record::RunSink>(const std::filesystem::path& database)> open_sink;
  // After the database is closed: boards and reports. May be empty.
  std::function<void(const std::filesystem::path& run_folder)> after;
};

// Exit codes of docs/guides/commands.md.
enum ExitCode : int { kDone = 0, kFailures = 1, kRefused = 2, kStopped = 3, kNoEnvironment = 4 };

// 2 for what the user can mend in the sweep or command, 4 for the environment.
int exit_code_of(const Error& error);

// `assay run`: runs or resumes a sweep, alone or as a rank of a job. Returns the exit code of a run
// that began; throws Error for one that was refused or could not go on (exit_code_of).
int run_sweep(const RunRequest& request, const RunHooks& hooks);

}  // namespace assay::run
