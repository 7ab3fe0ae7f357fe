#pragma once

#include <filesystem>
#include <vector>

#include "results/board/table.h"

namespace assay::app {

// What a checkpoint is, read without LibTorch: a folder with config.json and *.safetensors, or one
// .safetensors file. Throws Error(kConfig) if there is none, Error(kData) for a malformed one.
std::vector<results::Table> checkpoint_facts(const std::filesystem::path& path);

}  // namespace assay::app
