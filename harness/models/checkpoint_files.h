#pragma once

#include <filesystem>
#include <map>
#include <memory>
#include <string>

#include "harness/core/json.h"
#include "harness/core/safetensors_file.h"

namespace assay::models {

// The files of a checkpoint: its configuration, and for each tensor the open file that holds it.
struct CheckpointFiles {
  std::string what;    // for messages: the path that the user gave
  Json configuration;  // of this one network
  std::map<std::string, std::shared_ptr<const SafetensorsFile>> tensors;
};

// `path`: a folder with config.json and model.safetensors (or model.safetensors.index.json and its
// shards), or a .safetensors file with <stem>.json or config.json beside it; one config.json may
// describe several files ("models": {name: {"file": ...}}). Throws Error(kData | kIo) naming the
// file; other containers are refused with advice on conversion, an index that leaves its folder or
// names a tensor that its shard lacks is an error.
CheckpointFiles open_checkpoint(const std::filesystem::path& path);

}  // namespace assay::models
