#pragma once

#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "harness/base/json.h"
#include "harness/plan/plan.h"
#include "harness/spec/sweep.h"
#include "harness/supervise/providers.h"

namespace assay::run {

// What was learned of the inputs of a sweep before it runs.
struct InputFacts {
  std::map<std::string, Json> models;                        // by name
  std::map<std::pair<std::string, std::string>, Json> data;  // by name and split
};

// Asks the providers of a plan what would fail (docs/formats/protocol.md, `inspect`), and leaves
// the trials out that a method cannot do if the sweep says so. `mistakes`: those found before; all
// are told together. Throws Error(kConfig) with every mistake, one a line, if there is one;
// Error(kEnvironment) for a provider that does not answer. `cache`: folder of remembered answers.
InputFacts inspect_plan(const spec::Sweep& sweep, const supervise::Providers& providers,
                        std::vector<std::string> mistakes, plan::Plan& plan,
                        const std::filesystem::path& cache);

// The folder beside the catalogues' cache: .../assay/inspections, or "".
std::filesystem::path inspection_cache();

}  // namespace assay::run
