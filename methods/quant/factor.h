#pragma once

#include <ATen/core/Tensor.h>

#include <string>

// From second moments to the factor that moves rounding errors. All take [.., d, d] of one floating
// dtype.

namespace assay::quant {

// bool [.., d]: inputs that were always 0.
at::Tensor dead_inputs(const at::Tensor& hessian);

// Diagonal entries of dead inputs become `value`.
at::Tensor with_dead_repaired(const at::Tensor& hessian, double value);

// H + ratio mean(diag H) I, each matrix by its own mean.
at::Tensor with_damping(const at::Tensor& hessian, double ratio);

// Upper triangular U with H^-1 = U^T U. One Cholesky of the reversed matrix and one triangular
// inverse: with J the reversal, J H J = L L^T and U = (J L J)^-1. If H does not factor, 1 % of the
// mean diagonal is added, at most 20 times. Throws Error(kMethod) naming `layer`.
at::Tensor inverse_factor(const at::Tensor& hessian, const std::string& layer);

}  // namespace assay::quant
