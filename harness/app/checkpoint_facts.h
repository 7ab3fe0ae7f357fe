#pragma once

#include <filesystem>
#include <vector>

#include "results/board/table.h"

namespace assay::app {

// What a checkpoint is, read without LibTorch: the configuration and tensors of the files that
// would be loaded (harness/formats/checkpoint_layout.h). Throws Error naming the file if there is
// none, or a malformed one.
std::vector<results::Table> checkpoint_facts(const std::filesystem::path& path);

}  // namespace assay::app
