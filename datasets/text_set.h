#pragma once

#include <string>
#include <vector>

#include "harness/core/input_file.h"
#include "harness/core/json.h"

namespace assay::datasets {

// Documents of one text split, UTF-8, in file order. Same arguments as open_images.
// Throws Error(kData) naming the file that is malformed.
std::vector<std::string> open_documents(const Json& data, const FileSet& files);

}  // namespace assay::datasets
