#pragma once

#include <string>

#include "methods/method.h"

// What the methods share that quantize weights and leave activations to others.

namespace assay {

// Throws Error(kUnsupported) if the bits of a trial ask for rounded activations and no method
// before this one rounds them.
void require_rounded_activations(const std::string& method, int weight_bits, int activation_bits,
                                 bool rounded);

// MethodStage::rounds of such a method.
Rounding rounds_weights(const StageContext& context);

}  // namespace assay
