#pragma once

#include <cstdint>
#include <memory>

#include "datasets/reader.h"

// What the readers of IDX files share.

namespace assay::datasets {

// Files of the roles "images", [N, H, W] or [N, C, H, W], and "labels", [N]. `classes`: 0 = largest
// label + 1.
std::unique_ptr<ImageSet> open_idx(const Json& data, const FileSet& files, std::int64_t classes);
void scan_idx(HeaderScan& scan, std::int64_t classes);

}  // namespace assay::datasets
