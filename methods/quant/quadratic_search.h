#pragma once

#include <ATen/core/Tensor.h>

// The search for the grid of a row with the least e H e^T, where e is what rounding adds to the row
// and H the second moments of its inputs.

namespace assay::quant {

// F with H = F F^T for symmetric H without negative eigenvalues (what rounding leaves of such is
// taken for 0): eigenvectors by falling eigenvalue, times the roots of these, so that the first
// columns of e F hold most of e H e^T. moments, result: [.., d, d] of one floating dtype. Throws
// Error(kMethod) if H is not finite.
at::Tensor energy_factor(const at::Tensor& moments);

// For each row the first of its pairs with the least |e F|^2, int64 [rows]; -1 where no score is
// finite. weight [rows, d]; scale, zero [rows, pairs], pair p of a row near pair p + 1; factor F
// [d, ..]. Pairs are left as soon as the columns of e F so far exceed the best of the row.
at::Tensor least_errors(const at::Tensor& weight, const at::Tensor& scale, const at::Tensor& zero,
                        double qmax, const at::Tensor& factor);

}  // namespace assay::quant
