#pragma once

#include <memory>

#include "harness/core/stage_context.h"
#include "harness/models/network.h"
#include "harness/models/tap.h"

// The network that a stage works on: the model of its recipe, with the artifact "network" of the
// methods before it, if there is one. That artifact is a checkpoint folder (config.json and
// model.safetensors, as `train` makes it), which replaces the model, or a quantized overlay
// (quantization.json and codes.safetensors), which is laid over the model's weights.

namespace assay::exec {

struct StageNetwork {
  std::unique_ptr<models::Network> network;
  std::unique_ptr<models::Tap>
      tap;  // the overlay's activation quantizers; one that changes nothing
};

// Loaded anew, in the precision of the recipe. A model without weights that no stage trained is
// refused. Throws Error(kData | kConfig | kUnsupported).
StageNetwork load_stage_network(const StageContext& context);

// The same kept between stages; must not be changed.
std::shared_ptr<const StageNetwork> resident_stage_network(StageContext& context);

// For methods, which change it: loaded anew, without activation quantizers. Throws
// Error(kUnsupported) if the methods before it quantized activations.
std::unique_ptr<models::Network> load_method_network(const StageContext& context);

}  // namespace assay::exec
