#pragma once

#include <ATen/core/Tensor.h>

#include "methods/awq/options.h"

// The search for clipping limits.

namespace assay::awq {

// The weight with every row and group of columns clamped to [-limit, limit]: of limits (1 - (1 -
// clip_min) i / clip_steps) max |w|, i = 0 .., the one whose rounded weights move the group's part
// of the output the least, dw H dw^T with the group's block of the moments (of equals the first).
// weight: floating [rows, columns]; moments: its inputs' [columns, columns].
at::Tensor clipped(const at::Tensor& weight, const at::Tensor& moments, const Options& options);

}  // namespace assay::awq
