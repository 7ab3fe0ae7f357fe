#pragma once

#include <vector>

#include "harness/core/stage_context.h"
#include "methods/quant/stage_inputs.h"

// Round to nearest: every weight to the nearest point of its grid, activations at calibrated or
// dynamic ranges. Stages rtn.observe (only where activations are quantized) and rtn.quantize.

namespace assay::rtn {

MethodDeclaration declaration();
std::vector<StageImplementation> stages(const quant::ModelLoader& loader);

// That this stage of the method, with the parameters of its recipe, can do the network, of which
// shapes are known alone. Throws Error as the stage would. Pure.
void check(const StageContext& context, const models::Network& network);

// Whether rtn.quantize, with the parameters of its recipe, rounds weights, or activations.
bool rounds_weights(const StageContext& context);
bool rounds_activations(const StageContext& context);

// Runs the method on a tiny network in a second and throws Error(kMethod) if it does not do what it
// says: 16 bits equal float, fewer bits change it, more bits are not much worse.
void canary();

}  // namespace assay::rtn
