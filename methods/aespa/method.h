#pragma once

#include <functional>

#include "methods/aespa/layers.h"
#include "methods/method.h"
#include "methods/quant/block_walk.h"

// aespa: block-sequential rounding that is learned against attention-aware moments, weights only.
// One stage, aespa.quantize.

namespace assay {

Method aespa_method();

}  // namespace assay

namespace assay::aespa {

quant::SequentialOptions sequential_options(bool value_columns);

// Runs the method on a tiny network in seconds. Throws Error(kMethod) if 15 bits are not close to
// float, if learning changes no code, or if its error is not below that of round to nearest.
void canary();

}  // namespace assay::aespa
