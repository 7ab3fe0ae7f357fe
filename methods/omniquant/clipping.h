#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>

#include "methods/quant/grid.h"

// Learnable weight clipping: how much of its range a row or group of a weight keeps. Source: Shao
// et al. 2024 (arXiv 2308.13137), section 3.2.

namespace assay::omniquant {

// sigmoid of it is 0.982: nearly the whole range.
inline constexpr double kFirstLogit = 4;

// Logits of the shares of the largest and of the smallest weight that are kept, floating [rows,
// groups]; undefined: the whole range.
struct Clipping {
  at::Tensor high, low;
};

// Where training starts, for a weight [rows, columns] in groups of `group` columns (-1: whole
// rows).
Clipping first_clipping(const at::Tensor& weight, std::int64_t group);

// The grid of every row and group: hi = sigmoid(high) max w, lo = sigmoid(low) min w (0 is not
// forced between them), scale = (hi - lo) / (2^bits - 1) in [1e-5, 1e4], zero = round(-lo / scale),
// which need not be a code. Gradients reach weight and logits through the scale; the zero point is
// a constant.
quant::Grid clipped_grid(const at::Tensor& weight, const Clipping& clipping, int bits,
                         std::int64_t group);

}  // namespace assay::omniquant
