#pragma once

#include <string>
#include <vector>

#include "harness/spec/run_settings.h"
#include "harness/supervise/numerics.h"

namespace assay::run {

// Settles what the sweep leaves open of the numerics class, for a run on these hosts: `cpu_level:
// auto` becomes the lowest of theirs. Returns one line that says what was settled and why.
std::string settle_numerics(spec::RunSettings& settings,
                            const std::vector<supervise::HostNumerics>& hosts);

// Throws Error(kEnvironment) naming each host that cannot be held to the class, and the mend.
void check_hosts(const spec::RunSettings& settled,
                 const std::vector<supervise::HostNumerics>& hosts);

}  // namespace assay::run
