#pragma once

#include "harness/base/json.h"
#include "harness/plan/stage.h"
#include "harness/record/records.h"
#include "harness/supervise/spent.h"

namespace assay::supervise {

// result.json of a stage: what its body returned, who it is, its files, and what was measured. The
// body may add members to "cost" and "environment" (load time, library versions). Throws
// Error(kData) if it returned a member that is not its to set, or metrics that are no numbers.
// `before`: what went into the checkpoints that it went on from; it counts as cost.
Json assembled_result(const Json& returned, const plan::Stage& stage, const Json& files,
                      const record::AttemptRecord& record, const Spent& before = {});

}  // namespace assay::supervise
