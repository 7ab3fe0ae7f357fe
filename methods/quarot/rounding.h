#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>

#include "harness/contract/bits.h"
#include "harness/models/network.h"
#include "methods/quant/grid.h"
#include "methods/quant/quantized_model.h"

// What QuaRot rounds of a rotated network, without stages. Source: Ashkboos et al. 2024 (arXiv
// 2404.00456), section 4 and appendix; grid `absmax_full` of its release.

namespace assay::quarot {

struct Options {
  int weight_bits = kFloatBits;      // kFloatBits: weights stay
  int activation_bits = kFloatBits;  // kFloatBits: activations stay
  int cache_bits = kFloatBits;       // kFloatBits: keys and values stay
  bool weight_clip = false;          // search of the rows' ranges
  double activation_clip = 1;        // part of the range of a token that is kept
  double cache_clip = 1;
  std::int64_t cache_group = -1;  // channels of a head that share a range; -1: all heads of a token
  bool cache_symmetric = true;
};

// scale = p max|w| / (2^(bits - 1) - 1), zero = 2^(bits - 1), codes clamped to their bits, a row of
// weight [rows, columns] at a time. p = 1, or with `clip` that of 1.00, 0.99 .. 0.21 whose sum of
// |w - Q(w)|^2.4 is least, the first of equals.
quant::Grid absmax_full_grid(const at::Tensor& weight, int bits, bool clip);

// That the options fit the network, rotated or not. Throws Error(kUnsupported): symmetric grids of
// 1 bit, a group that does not divide a head.
void check(const models::Network& network, const Options& options);

// Weights of the blocks' linear layers by absmax_full_grid; their inputs by a symmetric range of
// each token; keys, as they enter the scores, and values by ranges of each token. The network is
// not changed.
quant::QuantizedModel quantized(const models::Network& network, const Options& options);

}  // namespace assay::quarot
