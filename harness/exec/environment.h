#pragma once

#include "harness/base/json.h"
#include "harness/contract/stage_recipe.h"

namespace assay::exec {

// How this process computes, decided by a run's recipe. Sets LibTorch's thread count; kernels are
// deterministic and float32 products exact from start_numerics() on. Throws Error(kUnsupported) for
// a device or precision that this program does not offer, Error(kEnvironment) for a cpu_level or
// mkl that this process was not started with.
void apply_numerics(const Numerics& numerics);

// Once, at the start of the program, before any tensor exists.
void start_numerics();

// What can move the bits of a result, or its time: versions, instruction set, threads, overrides,
// peak resident bytes. Goes into result["environment"].
Json environment_facts();

}  // namespace assay::exec
