#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>

#include "harness/models/network.h"

namespace assay::quant {

// The second moments that a method quantizes a layer with: its objective is
//   tr(row dW column dW^T), dW = W_quantized - W, summed over the heads of the layer.
struct LayerMoments {
  models::Layer layer;
  // (2 / n) sum x x^T of the inputs [columns, columns]; of a value projection that is looked at
  // through the attention probabilities (2 / n) sum y y^T, y = A x, a head: [heads, columns,
  // columns].
  at::Tensor column;
  // [heads, head_dim, head_dim], or undefined: the rows of the weight are independent.
  at::Tensor row;
  // (2 / n) sum (x_float - x) x^T, x_float the input in the float network; of the shape of column,
  // or undefined where nobody asked.
  at::Tensor upstream;
  std::int64_t length = 1;  // tokens of a calibration sequence
};

}  // namespace assay::quant
