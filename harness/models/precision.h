#pragma once

#include <ATen/core/Tensor.h>

#include "harness/contract/stage_recipe.h"

namespace assay::models {

// The dtype of networks that a recipe asks for.
at::ScalarType precision_of(const Numerics& numerics);

bool is_half(at::ScalarType type);

}  // namespace assay::models
