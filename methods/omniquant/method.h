#pragma once

#include "methods/method.h"

// OmniQuant: the ranges of weights and the scales and shifts of channels are learned block by block
// against the float block's output, then everything is rounded to nearest. One stage,
// omniquant.quantize.

namespace assay {

Method omniquant_method();

}  // namespace assay

namespace assay::omniquant {

// Runs the method on a tiny network in seconds. Throws Error(kMethod) if the transformation that
// training starts from changes the float network, if 15 bits are not close to float, if training
// does not lower the loss of every block, or if its error is not below that of round to nearest on
// the same grid.
void canary();

}  // namespace assay::omniquant
