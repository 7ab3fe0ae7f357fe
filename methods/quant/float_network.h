#pragma once

#include "harness/models/network.h"

// What methods that scale channels ask of the network that they are given.

namespace assay::quant {

// That no method before `method` rounds weights or activations: their channels would be scaled
// after they are rounded. `example`: a composition in the right order. Throws Error(kUnsupported).
void require_float(const char* method, bool weights_rounded, bool activations_rounded,
                   const char* example);

// That it has channels to scale. Throws Error(kUnsupported).
void require_scale_groups(const models::Network& network);

}  // namespace assay::quant
