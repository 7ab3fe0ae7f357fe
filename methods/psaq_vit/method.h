#pragma once

#include "harness/models/network.h"
#include "methods/method.h"
#include "methods/quant/observer.h"
#include "methods/quant/quantized_model.h"

// PSAQ-ViT: calibration images from patch-similarity entropy, then static quantization at the sites
// of protocol P1. Stages psaq_vit.synthesize (shared by every bit width), psaq_vit.observe and
// psaq_vit.quantize.

namespace assay {

Method psaq_vit_method();

}  // namespace assay

namespace assay::psaq_vit {

// Protocol P1: every layer's weight per output channel, every site of the network by its calibrated
// range. 16 bits leave weights or activations alone.
quant::QuantizedModel p1_model(const models::Network& network, const quant::Ranges& ranges,
                               int weight_bits, int activation_bits);

// Runs the method on a tiny network in seconds and throws Error(kMethod) unless the images depend
// on the seed and nothing else, raise the patch-similarity entropy above that of noise, and 15 bits
// are close to float.
void canary();

}  // namespace assay::psaq_vit
