#pragma once

#include "methods/method.h"

namespace assay {

// Method `train`: a network with random weights, with those of a checkpoint, or with those that the
// methods before it made, is trained on the split "train" of its data. Its artifact is the trial's
// network: config.json, model.safetensors and the tokenizer's files. Recipe fields and their
// defaults: settings.h; guide: docs/guides/train.md.
Method train_method();

}  // namespace assay
