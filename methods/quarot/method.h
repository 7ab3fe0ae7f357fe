#pragma once

#include "methods/method.h"

// QuaRot: residual stream, heads and MLP rotated by orthogonal matrices, so that activations have
// no outliers, then weights, activations and the key-value cache rounded. Stages: quarot.rotate,
// quarot.quantize.

namespace assay {

Method quarot_method();

}  // namespace assay

namespace assay::quarot {

// Runs the method on a tiny network with outliers in a second. Throws Error(kMethod) if a rotation
// changes what the float network computes, if it leaves the outliers, or if 15 bits are not close
// to float.
void canary();

}  // namespace assay::quarot
