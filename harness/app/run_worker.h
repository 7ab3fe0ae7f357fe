#pragma once

#include "harness/schedule/transport.h"

namespace assay::app {

// The life of a rank other than 0: asks rank 0 what there is, supervises its slots, reports, leaves
// when it is dismissed. Returns the exit code: 0, or 4 if its environment does not do (the store is
// not shared, no slot). Throws what the store throws when the disk is full.
int run_worker(schedule::Transport& transport);

}  // namespace assay::app
