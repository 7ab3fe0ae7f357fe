#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>

#include "methods/quant/block_walk.h"
#include "methods/quant/grid_search.h"
#include "methods/quant/layer_moments.h"

// GPTQ of one linear layer whose error in a row of a head also moves into the rows of that head
// which are not rounded yet: it lowers tr(row dW column dW^T). Sources: BoA, Kim et al. 2025 (arXiv
// 2406.13474), algorithm 1; TurboBoA, Kim et al. 2026 (arXiv 2602.04929), for several rows at a
// time, the error of the inputs and the scales. With one row at a time it equals GPTQ on the
// row-major weight of a head with the moments kron(row, column).

namespace assay::quant {

struct TwoSidedOptions {
  int bits = 4;
  RangeSearch grid = RangeSearch::kHessian;
  std::int64_t group = -1;  // input columns per grid; -1: one grid a row
  bool symmetric = false;
  bool act_order_columns = false;  // in descending order of the column moments' diagonal, by head
  bool act_order_rows = false;     // of the row moments' diagonal
  double damping = 0.01;           // of both moments
  double dead_value = 0;  // diagonal column moment of inputs that are always 0; 0: 1 / length
  std::int64_t rows_per_step = 1;  // rows of a head that are rounded independently of each other
  bool adaptive_grid = false;      // grids of those rows from the weights that earlier rows left
  double alpha = 0;  // weight of moments.upstream: the inputs of the float network are aimed at
  std::int64_t refine_sweeps = 0;  // passes of coordinate descent over the scales afterwards
};

// weight [rows, columns] of the dtype of the moments, float32 or float64. Without row moments it is
// GPTQ. LayerResult::loss: tr(row dW column dW^T) / 2 with the damped moments, over all heads.
// Throws Error(kMethod) naming the layer if moments do not factor, Error(kConfig) for groups
// together with an order of columns or with refine_sweeps.
LayerResult quantize_two_sided(const at::Tensor& weight, const LayerMoments& moments,
                               const TwoSidedOptions& options);

// Every layer of a pass. `value_rows`: rows of v are coupled by the output projection (equation 9
// of BoA).
LayersQuantizer two_sided_quantizer(const models::Network& network, const TwoSidedOptions& options,
                                    bool value_rows);

// The mean over the heads that share a value of W_out,h^T W_out,h, W_out,h what becomes of a head's
// output: [kv_heads, head_dim, head_dim] in the dtype of the network.
at::Tensor rows_of_values(const models::Network& network, const models::AttentionParts& parts);

}  // namespace assay::quant
