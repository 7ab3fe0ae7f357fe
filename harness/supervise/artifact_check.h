#pragma once

#include <filesystem>

namespace assay::supervise {

// Looks at the files that a stage made before they are published, so that a malformed artifact is
// the fault of the stage that made it and never enters the store:
//   *.safetensors      the header fits the file;
//   quantization.json  a quantized model (docs/formats/quantized_model.md), its tensors in
//                      codes.safetensors with the right shapes, scales finite and above 0;
//   config.json        an object, with weights beside it.
// Codes and weights are not read: that they fit their bits and the network is seen when they are
// loaded. Throws Error(kData) naming the file and what is wrong.
void check_artifact(const std::filesystem::path& folder);

}  // namespace assay::supervise
