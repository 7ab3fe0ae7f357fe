#pragma once

#include "harness/record/sink.h"
#include "harness/run/run_folder.h"
#include "harness/run/run_sweep.h"
#include "harness/schedule/coordinator.h"
#include "harness/supervise/store.h"

namespace assay::run {

// How the coordinator is to decide: what the sweep says, the end of the batch job, what earlier
// runs took. `alone`: no other ranks.
schedule::Options coordinator_options(const LoadedSweep& loaded, const record::History& history,
                                      bool alone);

// What the run wants kept in the store. `partial`: a run of some of the trials (--only) does not
// give up what the others made.
supervise::Root root_of(const plan::Plan& plan, const RunFolder& folder,
                        const supervise::Store& store, bool partial, double lease_s);

// How this run was started, for its database.
record::RunStart run_start(const RunRequest& request, const LoadedSweep& loaded);

}  // namespace assay::run
