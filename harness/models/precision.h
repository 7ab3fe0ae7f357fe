#pragma once

#include <ATen/core/Tensor.h>

#include "harness/core/json.h"

namespace assay::models {

// The dtype of networks that a recipe asks for by numerics.precision: float32 (also if it names
// none), float64, bfloat16 or float16. Throws Error(kUnsupported) for another name.
at::ScalarType precision_of(const Json& recipe);

bool is_half(at::ScalarType type);

}  // namespace assay::models
