#pragma once

#include "harness/core/json.h"

namespace assay::exec {

// How this process computes, decided by a run's recipe: {"device": "cpu", "threads": 1,
// "precision": "float32", "cpu_level": "avx2", "mkl": "other"}; members left out keep the defaults,
// of the last two what this process started with. Sets LibTorch's thread count; kernels are
// deterministic and float32 products exact from start_numerics() on. Throws Error(kUnsupported) for
// a device or precision that this program does not offer, Error(kEnvironment) for a cpu_level or
// mkl that this process was not started with, Error(kConfig) for a malformed value.
void apply_numerics(const Json& recipe);

// Once, at the start of the program, before any tensor exists.
void start_numerics();

// What can move the bits of a result, or its time: versions, instruction set, threads, overrides,
// peak resident bytes. Goes into result["environment"].
Json environment_facts();

}  // namespace assay::exec
