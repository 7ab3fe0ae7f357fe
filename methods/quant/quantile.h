#pragma once

#include <ATen/core/Tensor.h>

namespace assay::quant {

// The quantile q, 0 <= q <= 1, of each row: linear between the two order statistics around
// q (n - 1), as numpy has it, with position and interpolation in float64. rows [.., n], floating,
// n >= 1 -> [.., 1] of the same dtype; NaN for a row that holds one. (at::quantile works in the
// dtype of its rows, which moves a float32 result in the fifth digit, and takes 16 million values.)
at::Tensor quantile(const at::Tensor& rows, double q);

}  // namespace assay::quant
