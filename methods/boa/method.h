#pragma once

#include <string>

#include "methods/boa/layer.h"
#include "methods/method.h"
#include "methods/quant/block_walk.h"

// BoA: block-sequential rounding of linear layers with attention-aware moments of rows and columns,
// weights only. One stage, boa.quantize.

namespace assay {

Method boa_method();

}  // namespace assay

namespace assay::boa {

struct ModelOptions {
  Options layer;              // dead_value 0: 1 / tokens of a calibration sequence
  bool value_columns = true;  // moments of v behind the attention probabilities
  bool value_rows = false;    // rows of v are coupled by the output projection (equation 9)
};

quant::SequentialOptions sequential_options(const ModelOptions& options);

// quantize_layer for every layer of a pass.
quant::LayersQuantizer layers_quantizer(const models::Network& network,
                                        const ModelOptions& options);

// (mean over the heads that share a value of) W_out,h^T W_out,h: [kv_heads, head_dim, head_dim] in
// the dtype of the network.
at::Tensor rows_of_values(const models::Network& network, const models::AttentionParts& parts);

// Runs the method on a tiny network in seconds. Throws Error(kMethod) if 15 bits are not close to
// float, if the row moments change no code, or if its error is not below that of round to nearest.
void canary();

}  // namespace assay::boa
