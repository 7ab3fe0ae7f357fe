#pragma once

#include <filesystem>
#include <string>

namespace assay::app {

// The run folder that `name` means: a folder, or one below runs/; "" the newest below runs/ (by the
// time of its database or status). Throws Error(kConfig) with what there is.
std::filesystem::path find_run(const std::string& name);

// Whether there is such a run folder.
bool is_run(const std::string& name);

inline std::filesystem::path database_of(const std::filesystem::path& run) {
  return run / "results.sqlite";
}

}  // namespace assay::app
