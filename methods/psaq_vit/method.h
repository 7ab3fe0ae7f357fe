#pragma once

#include <vector>

#include "harness/core/stage_context.h"
#include "harness/models/network.h"
#include "methods/quant/observer.h"
#include "methods/quant/quantized_model.h"
#include "methods/quant/stage_inputs.h"

// PSAQ-ViT: calibration images from patch-similarity entropy, then static quantization at the sites
// of protocol P1. Stages psaq_vit.synthesize (shared by every bit width), psaq_vit.observe and
// psaq_vit.quantize.

namespace assay::psaq_vit {

MethodDeclaration declaration();
std::vector<StageImplementation> stages(const quant::ModelLoader& loader);

// That this stage of the method, with the parameters of its recipe, can do the network, of which
// shapes are known alone. Throws Error as the stage would. Pure.
void check(const StageContext& context, const models::Network& network);

// Whether psaq_vit.quantize, with the parameters of its recipe, rounds activations.
bool rounds_activations(const StageContext& context);

// Images are made by gradients. Throws Error(kUnsupported) for a network without them.
void require_gradients(bool has_gradients);

// Protocol P1: every layer's weight per output channel, every site of the network by its calibrated
// range. 16 bits leave weights or activations alone.
quant::QuantizedModel p1_model(const models::Network& network, const quant::Ranges& ranges,
                               int weight_bits, int activation_bits);

// Runs the method on a tiny network in seconds and throws Error(kMethod) unless the images depend
// on the seed and nothing else, raise the patch-similarity entropy above that of noise, and 15 bits
// are close to float.
void canary();

}  // namespace assay::psaq_vit
