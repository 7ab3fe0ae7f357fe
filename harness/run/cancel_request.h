#pragma once

#include <filesystem>
#include <string>

namespace assay::run {

// run.cancel in a run folder: {"token"} of the run.lock whose holder is asked to stop. It reaches a
// run on any machine that sees the folder; the run looks for it once a second. A request for
// another holder concerns no process any more: it is removed when seen.

// Throws Error(kIo) if the folder cannot be written.
void request_cancel(const std::filesystem::path& run_folder, const std::string& token);

// Whether the holder of `token` was asked. Removes what it finds.
bool cancel_requested(const std::filesystem::path& run_folder, const std::string& token);

}  // namespace assay::run
