#pragma once

#include "methods/method.h"
#include "methods/smoothquant/smoothing.h"

// SmoothQuant: channels of activations with outliers are scaled into the weights behind them, then
// both are rounded. Stages: smoothquant.maxima, smoothquant.quantize.

namespace assay {

Method smoothquant_method();

}  // namespace assay

namespace assay::smoothquant {

// Runs the method on a tiny network in a second. Throws Error(kMethod) if smoothing changes the
// float network, if no factor differs from 1, or if 15 bits are not close to float.
void canary();

}  // namespace assay::smoothquant
