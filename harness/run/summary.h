#pragma once

#include <filesystem>

#include "harness/run/run_status.h"
#include "harness/schedule/event.h"

namespace assay::run {

// What a user reads on stderr when a run has ended: its failures with their logs, then one line for
// the whole. `forced`: stages were run although they were done, which doing it again would repeat.
void say_summary(const RunStatus& status, const schedule::Finish& finish,
                 const std::filesystem::path& run_folder, bool forced);

// "failed: <stage> (<kind>): <message>; log <path>", a line of plain text.
std::string failure_line(const RunStatus::Failure& failure,
                         const std::filesystem::path& run_folder);

}  // namespace assay::run
