#pragma once

#include <ATen/core/Tensor.h>

namespace assay::quant {

// scale (clamp(round(w / scale) + zero, 0, qmax) - zero) - w in one pass over memory, with the bits
// of single operations. weight [.., rows, columns]; scale, zero [.., rows, 1].
at::Tensor rounding_error(const at::Tensor& weight, const at::Tensor& scale, const at::Tensor& zero,
                          double qmax);

// The same of each row under each of its pairs: weight [rows, columns]; scale, zero [rows, pairs];
// returns [rows, pairs, columns].
at::Tensor rounding_errors(const at::Tensor& weight, const at::Tensor& scale,
                           const at::Tensor& zero, double qmax);

}  // namespace assay::quant
