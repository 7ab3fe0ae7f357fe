#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "harness/contract/catalogue.h"
#include "harness/plan/inputs.h"
#include "harness/plan/plan.h"
#include "harness/run/plan_inspection.h"
#include "harness/spec/sweep.h"
#include "harness/supervise/numerics.h"
#include "harness/supervise/providers.h"

namespace assay::run {

// What the user asked for: a sweep, and what the command line changes about it.
struct SweepRequest {
  std::filesystem::path file;
  std::vector<std::string> overrides;  // --set
  std::optional<std::int64_t> limit;   // --limit
  std::string only;                    // --only; "": all trials
  bool share = true;                   // --no-share
};

struct LoadedSweep {
  supervise::Providers providers;
  Catalogue catalogue;   // of all providers
  spec::Sweep sweep;     // its numerics class settled
  std::string numerics;  // the class, in a line for people
  plan::Plan plan;
  InputFacts facts;
  std::vector<std::string> notes;  // what the planner says of the inputs
};

// What the sweep's providers offer, beside the built-in one's. Their files are digested anew each
// time. Throws as load_and_plan does.
supervise::Providers providers_of(const spec::SweepFile& file, plan::InputDigests& digests);

// From a file to a plan: asks the providers what they offer, reads the sweep, plans it, and asks
// them what would fail. `run` and `plan` begin alike. Throws Error(kConfig) for whatever is wrong
// with the sweep or would fail in its run, all of it at once; Error(kEnvironment) for a provider
// that does not start. `hosts`: where the run happens; empty: this host.
LoadedSweep load_and_plan(const SweepRequest& request,
                          const std::vector<supervise::HostNumerics>& hosts = {});

}  // namespace assay::run
