#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "harness/core/stage_context.h"
#include "harness/models/network.h"
#include "methods/quant/method_network.h"

namespace assay::train {

// Method `train`: a network with random weights, with those of a checkpoint, or with those that the
// methods before it made, is trained on the split "train" of its data. Its artifact is the trial's
// network: config.json, model.safetensors and the tokenizer's files. Recipe fields and their
// defaults: settings.h; guide: docs/guides/train.md.
MethodDeclaration declaration();
std::vector<StageImplementation> stages(const quant::ModelLoader& loader);

// That this stage can train the network, of which shapes are known alone, on so much data: images,
// or tokens of the text at most; nothing: not known. Throws Error as the stage would. Pure.
void check(const StageContext& context, const models::Network& network,
           std::optional<std::int64_t> data);

}  // namespace assay::train
