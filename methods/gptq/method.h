#pragma once

#include <string>

#include "methods/gptq/layer.h"
#include "methods/method.h"
#include "methods/quant/block_walk.h"

// GPTQ: block-sequential second-order rounding of linear layers, weights only. One stage,
// gptq.quantize.

namespace assay {

Method gptq_method();

}  // namespace assay

namespace assay::gptq {

// quantize_layer for every layer of a pass.
quant::LayersQuantizer layers_quantizer(const models::Network& network, const Options& options);

// Runs the method on a tiny network in a second. Throws Error(kMethod) if 15 bits are not close to
// float, if GPTQ's codes are those of round to nearest on correlated inputs (moments that were
// never collected), or if its layer error is not below that of round to nearest.
void canary();

}  // namespace assay::gptq
