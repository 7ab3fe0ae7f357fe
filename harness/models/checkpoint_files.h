#pragma once

#include <map>
#include <memory>
#include <string>

#include "harness/base/json.h"
#include "harness/formats/input_file.h"
#include "harness/formats/safetensors_file.h"

namespace assay::models {

// The files of a checkpoint: its configuration, and for each tensor the open file that holds it.
struct CheckpointFiles {
  std::string what;    // for messages: the file, or the folder of the shards
  Json configuration;  // of this one network
  std::map<std::string, std::shared_ptr<const SafetensorsFile>> tensors;
};

// `files`: roles of harness/formats/checkpoint_layout.h; nothing else is opened. Throws Error(kData
// | kIo) naming the file: a malformed or changed one, an index that names a shard which is not in
// `files` or a tensor that its shard lacks.
CheckpointFiles open_checkpoint(const FileSet& files);

}  // namespace assay::models
