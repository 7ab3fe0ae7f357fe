#include "harness/app/folders.h"

#include <fmt/format.h>

#include <map>
#include <optional>
#include <vector>

#include "harness/base/error.h"
#include "harness/base/suggest.h"

namespace assay::app {
namespace {

namespace fs = std::filesystem;

std::optional<fs::file_time_type> age_of(const fs::path& folder) {
  std::optional<fs::file_time_type> newest;
  for (const char* name : {"results.sqlite", "status.json"}) {
    std::error_code error;
    const auto time = fs::last_write_time(folder / name, error);
    if (!error && (!newest || time > *newest)) newest = time;
  }
  return newest;
}

// Run folders below runs/ by name.
std::map<std::string, fs::file_time_type> known_runs() {
  std::map<std::string, fs::file_time_type> runs;
  std::error_code error;
  for (fs::directory_iterator it("runs", error), end; !error && it != end; it.increment(error)) {
    if (const auto age = age_of(it->path())) runs[it->path().filename().string()] = *age;
  }
  return runs;
}

}  // namespace

bool is_run(const std::string& name) {
  return name.empty() ? !known_runs().empty() : age_of(name) || age_of(fs::path("runs") / name);
}

fs::path find_run(const std::string& name) {
  const auto runs = known_runs();
  if (!name.empty()) {
    if (age_of(name)) return name;
    if (runs.contains(name)) return fs::path("runs") / name;
    std::vector<std::string> legal;
    for (const auto& [run, age] : runs) legal.push_back(run);
    throw Error(
        ErrorKind::kConfig,
        fmt::format("'{}' is no run folder (no results.sqlite or status.json in it){}", name,
                    legal.empty() ? "; there are none below runs/" : suggestion(name, legal)),
        {{"run", name}});
  }
  const std::pair<const std::string, fs::file_time_type>* newest = nullptr;
  for (const auto& run : runs) {
    if (newest == nullptr || run.second > newest->second) newest = &run;
  }
  if (newest == nullptr) {
    throw Error(
        ErrorKind::kConfig,
        "there is no run folder below runs/; start one with `assay run SWEEP`, or name one");
  }
  return fs::path("runs") / newest->first;
}

}  // namespace assay::app
