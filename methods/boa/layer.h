#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <string>

#include "methods/quant/block_walk.h"
#include "methods/quant/grid_search.h"

// BoA of one linear layer: GPTQ whose error in one row of a head also moves into the rows of that
// head which are not rounded yet. Source: Kim et al. 2025 (arXiv 2406.13474), algorithm 1. It
// equals GPTQ on the row-major weight of a head with the moments kron(row, column).

namespace assay::boa {

struct Options {
  int bits = 4;
  quant::RangeSearch grid = quant::RangeSearch::kHessian;
  std::int64_t group = -1;  // input columns per grid; -1: one grid a row
  bool symmetric = false;
  bool act_order_columns = false;  // in descending order of the column moments' diagonal, by head
  bool act_order_rows = false;     // of the row moments' diagonal
  double damping = 0.01;           // of both moments
  double dead_value = 1.0 / 2048;  // diagonal column moment of inputs that are always 0
};

// weight [rows, columns] of the dtype of the moments, float32 or float64; column [columns, columns]
// or [heads, columns, columns], row [heads, rows / heads, rows / heads] or undefined: then it is
// GPTQ. LayerResult::loss: tr(row dW column dW^T) / 2 with the damped moments, over all heads.
// Throws Error(kMethod) naming `name` if moments do not factor.
quant::LayerResult quantize_layer(const at::Tensor& weight, const at::Tensor& column,
                                  const at::Tensor& row, const Options& options,
                                  const std::string& name);

}  // namespace assay::boa
