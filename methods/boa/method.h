#pragma once

#include "methods/method.h"
#include "methods/quant/block_walk.h"
#include "methods/quant/two_sided.h"

// BoA: block-sequential rounding of linear layers with attention-aware moments of rows and columns,
// weights only. One stage, boa.quantize.

namespace assay {

Method boa_method();

}  // namespace assay

namespace assay::boa {

struct ModelOptions {
  quant::TwoSidedOptions layer;
  bool value_columns = true;  // moments of v behind the attention probabilities
  bool value_rows = false;    // rows of v are coupled by the output projection (equation 9)
};

quant::SequentialOptions sequential_options(const ModelOptions& options);

// Runs the method on a tiny network in seconds. Throws Error(kMethod) if 15 bits are not close to
// float, if the row moments change no code, or if its error is not below that of round to nearest.
void canary();

}  // namespace assay::boa
