#pragma once

#include <memory>

#include "harness/contract/stage_context.h"
#include "methods/quant/method_network.h"

// The network that a stage works on: the model of its recipe with the artifacts of the methods
// before it (harness/contract/network_chain.h), all of them, in their order. An artifact is a
// checkpoint folder (config.json and model.safetensors, as `train` makes it), which takes the place
// of the weights so far, or a quantized overlay (quantization.json and codes.safetensors), which is
// laid over them. Activation quantizers of several overlays act one after the other.

namespace assay::exec {

// Loaded anew, in the precision of the recipe. A model without weights that no stage trained is
// refused. Throws Error(kData | kConfig | kUnsupported).
quant::MethodNetwork load_method_network(const StageContext& context);

// The same kept between stages; must not be changed.
std::shared_ptr<const quant::MethodNetwork> resident_stage_network(StageContext& context);

// The model of the recipe as it came, whatever methods made of it; kept, and not to be changed. The
// network of a trial without methods is the same one.
std::shared_ptr<const quant::MethodNetwork> resident_float_model(StageContext& context);

// How much memory converted weights take that no pass needs (models::limit_kept_weights):
// $ASSAY_KEPT_WEIGHTS_MB, if it is set. Throws Error(kConfig) if that is no number of megabytes.
void limit_kept_weights();

}  // namespace assay::exec
