#pragma once

#include "methods/method.h"
#include "methods/zfold/layers.h"

// Z-Fold: block-sequential GPTQ on grids with a factor of the column, weights only. One stage,
// zfold.quantize.

namespace assay {

Method zfold_method();

}  // namespace assay

namespace assay::zfold {

// Runs the method on a tiny network in a second. Throws Error(kMethod) if 15 bits are not close to
// float, if the factors change no code, if codes are those that it gives without moments, or if its
// error is not below that of round to nearest.
void canary();

}  // namespace assay::zfold
