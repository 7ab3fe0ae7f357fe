#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "methods/quant/block_walk.h"
#include "methods/quant/layer_moments.h"

// aespa of the layers of one block: grids, compensated weights, learned rounding. Source: Kim et
// al. 2024 (arXiv 2402.08958), algorithm 1, with the options of its release.

namespace assay::aespa {

struct Options {
  int bits = 4;
  bool symmetric = false;
  bool zfold = true;
  std::int64_t zfold_rounds = 30;
  bool pre_update = true;  // weights compensated by the column loop of GPTQ before they are rounded
  bool act_order = true;   // columns of that loop in descending order of the moments' diagonal
  bool learn_rounding = true;
  std::int64_t iterations = 2000;
  double learning_rate = 0.015;
  double lambda_qkv = 1.5;  // weight of the regulariser
  double lambda_other = 1.0;
  double damping = 0.01;           // of the column moments
  double dead_value = 1.0 / 2048;  // diagonal column moment of inputs that are always 0
};

// A layer on its way through the steps; everything [heads, rows, columns] unless said otherwise.
struct LayerState {
  std::string name;
  at::Tensor weight;               // columns of dead inputs are 0
  at::Tensor column;               // repaired and damped, [heads or 1, columns, columns]
  at::Tensor row;                  // [heads, rows, rows], or undefined
  quant::Grid grid;                // scale, zero: [heads, rows, 1]
  bool attention = false;          // q, k or v: lambda_qkv
  std::int64_t zfold_rounds = -1;  // kept; -1: none were tried
};

// Weight of one layer with the start grid: min-max by row, dead inputs included.
LayerState start_layer(const quant::LayerMoments& moments, const at::Tensor& weight,
                       const Options& options);

// Grids of all layers. `folded`: groups of layers, by index, that share a zeta; others have none.
void refine_grids(std::vector<LayerState>& layers,
                  const std::vector<std::vector<std::size_t>>& folded, const Options& options);

// The float value of each weight at the moment that the column loop rounded it; the weight itself
// without `pre_update`.
at::Tensor compensated_weight(const LayerState& layer, const Options& options);

// Codes [heads, rows, columns]: learned, or the nearest. `stepped`: after every iteration.
at::Tensor codes_of(const LayerState& layer, const at::Tensor& compensated, const Options& options,
                    const std::function<void(std::int64_t)>& stepped);

// All steps for the layers of a block. Rows of q, k and v (`parts`) share a zeta; so do those of a
// layer alone, if its inputs can be scaled channel by channel by what stands before it.
std::map<std::string, quant::LayerResult> quantize_layers(
    const models::Network& network, const std::vector<quant::LayerMoments>& layers,
    const Options& options, const std::function<void(std::int64_t)>& stepped);

}  // namespace assay::aespa
