#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "harness/models/network.h"
#include "methods/quant/block_walk.h"
#include "methods/quant/layer_moments.h"

// Z-Fold of the layers of one block: grids with a factor of the column, then the column loop of
// GPTQ. Source: Jeon et al., EMNLP 2023, with the options of its release.

namespace assay::zfold {

struct Options {
  int bits = 4;
  bool symmetric = false;
  bool zfold = true;
  std::int64_t zfold_rounds = 30;
  bool hessian = true;      // grids searched by the moments; false: min-max
  bool act_order = false;   // columns in descending order of the moments' diagonal
  double damping = 0.01;    // of the moments, before grids are searched
  double dead_value = 1.0;  // diagonal moment of inputs that are always 0
};

// Layers of one pass. q, k and v share a zeta, after which each takes its own grid anew; a layer
// that folds alone has its own zeta, every other layer only a grid. Weights and moments of one
// dtype, float32 or float64. LayerResult::loss: dW H dW^T / 2 with the damped H, over all rows.
// Throws Error(kMethod) naming the layer if H does not factor.
std::map<std::string, quant::LayerResult> quantize_layers(
    const models::Network& network, const std::vector<quant::LayerMoments>& layers,
    const Options& options);

}  // namespace assay::zfold
