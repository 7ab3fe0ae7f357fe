#pragma once

#include <ATen/core/Tensor.h>

namespace assay::models::kernels {

// Whether the loops of this folder may compute on `x` instead of ATen: float32 on the CPU, no
// gradients recorded, one thread (ATen's kernels share work among several, ours do not), and a
// processor that they are compiled for.
bool usable(const at::Tensor& x);

}  // namespace assay::models::kernels
