#pragma once

#include "methods/method.h"

// AWQ: channels whose activations are large are scaled up in the weights behind them, weights are
// clipped, both by a search, then everything is rounded to nearest. One stage, awq.quantize.

namespace assay {

Method awq_method();

}  // namespace assay

namespace assay::awq {

// Runs the method on a tiny network in seconds. Throws Error(kMethod) if scaling changes the float
// network, if 15 bits are not close to float, or if its error is not below that of round to nearest
// on the same grid.
void canary();

}  // namespace assay::awq
