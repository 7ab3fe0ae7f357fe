#pragma once

#include <ATen/core/Tensor.h>

// Norms, gates and rotations that read and write memory once, where a chain of ATen calls makes a
// pass and a temporary a step. Each is for tensors that `usable` allows, within 3 ulp of the
// largest value of a row; its callers (layers.cpp, rotary.cpp) hold the formula in ATen for others.

namespace assay::models::kernels {

// (x - mean) / sqrt(variance + eps) * weight + bias over the last dimension of x. weight, bias:
// [d].
at::Tensor layer_norm(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias,
                      double eps);

// x / sqrt(mean x^2 + eps) * weight over the last dimension of x. weight: [d].
at::Tensor rms_norm(const at::Tensor& x, const at::Tensor& weight, double eps);

// gate = silu(gate) * up, in place. Both contiguous and of one size.
void swiglu_(const at::Tensor& gate, const at::Tensor& up);

// Turns x [B, T, H, d] in place by the angles of tables [T, d / 2]; all contiguous (rotary.h).
void rotate_(const at::Tensor& x, const at::Tensor& cosine, const at::Tensor& sine);

}  // namespace assay::models::kernels
