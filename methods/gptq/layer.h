#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <string>

#include "methods/quant/block_walk.h"
#include "methods/quant/columns.h"
#include "methods/quant/grid_search.h"

// GPTQ of one linear layer. Source: Frantar et al. 2023 (arXiv 2210.17323), algorithm 1, with the
// options of its release.

namespace assay::gptq {

struct Options {
  int bits = 4;
  quant::RangeSearch grid = quant::RangeSearch::kMinMax;
  std::int64_t group = -1;  // input columns per grid; -1: one grid a row
  bool symmetric = false;
  bool static_groups = false;  // all group grids from the weights before the loop
  bool act_order = false;      // columns in descending order of diag H
  double damping = 0.01;
  double dead_value = 1;
  quant::GroupGridSource source = quant::GroupGridSource::kBlockStart;
  std::int64_t block = 128;
};

// LayerResult::loss: dW H dW^T / 2 with the damped H, over all rows.
// weight [rows, columns] and hessian [columns, columns] = (2 / n) sum x x^T of one dtype, float32
// or float64. Throws Error(kMethod) naming `name` if H does not factor.
quant::LayerResult quantize_layer(const at::Tensor& weight, const at::Tensor& hessian,
                                  const Options& options, const std::string& name);

}  // namespace assay::gptq
