#pragma once

#include <filesystem>

#include "harness/run/load_plan.h"

namespace assay::app {

class Cli;
class Command;

// SWEEP, --set, --only, --limit and --no-share of `plan` and `run`. `request` must outlive parsing.
void add_sweep_options(Command& command, run::SweepRequest& request);

// `assay plan`, also as `assay run --dry-run`. Returns the exit code.
int plan_sweep(const Cli& cli, const run::SweepRequest& request, const std::filesystem::path& out);

}  // namespace assay::app
