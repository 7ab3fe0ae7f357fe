#pragma once

#include "methods/method.h"
#include "methods/quant/block_walk.h"
#include "methods/quant/two_sided.h"

// TurboBoA: BoA for several rows at a time, with the error of the inputs and the scales taken into
// account, weights only. One stage, turboboa.quantize.

namespace assay {

Method turboboa_method();

}  // namespace assay

namespace assay::turboboa {

struct ModelOptions {
  quant::TwoSidedOptions layer = {.rows_per_step = 16, .adaptive_grid = true};
  bool value_columns = true;  // moments of v behind the attention probabilities
};

quant::SequentialOptions sequential_options(const ModelOptions& options);

// Runs the method on a tiny network in seconds. Throws Error(kMethod) if 15 bits are not close to
// float, if the errors of the inputs change no code, or if its error is not below that of round to
// nearest.
void canary();

}  // namespace assay::turboboa
