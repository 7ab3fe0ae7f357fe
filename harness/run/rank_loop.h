#pragma once

#include "harness/run/stop_signals.h"
#include "harness/schedule/transport.h"
#include "harness/supervise/process_identity.h"

namespace assay::run {

// The life of a rank other than 0: asks rank 0 what there is, supervises its slots, reports, passes
// on stop signals, starts over if it was given up meanwhile, leaves when it is dismissed. Returns
// the exit code 0. Throws Error(kEnvironment) if its environment does not do (the store is not
// shared, no slot), Error(kLost) if rank 0, the process `coordinator`, is gone, and what the store
// throws when the disk is full.
int run_rank(schedule::Transport& transport, const supervise::ProcessIdentity& coordinator,
             StopSignals& signals);

}  // namespace assay::run
