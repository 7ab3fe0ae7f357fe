#pragma once

#include <string>
#include <vector>

#include "harness/base/json.h"
#include "harness/formats/input_file.h"

namespace assay::datasets {

// Documents of one text split, UTF-8, in file order. Same arguments as open_images.
// Throws Error(kData) naming the file that is malformed.
std::vector<std::string> open_documents(const Json& data, const FileSet& files);

}  // namespace assay::datasets
