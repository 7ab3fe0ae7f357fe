#pragma once

#include <memory>
#include <string>

#include "datasets/image_set.h"

namespace assay::datasets {

// A folder with one folder a class, each with .jpg, .jpeg or .png files (any case). A class's
// number is its place among the sorted folder names; images are in order of class, then file name.
// What there is says the folder's manifest; images are decoded when read. Throws Error(kData) if it
// has no class, a class has no image, or a file changed since the plan.
std::unique_ptr<ImageSet> open_image_folder(const InputFile& folder,
                                            const std::string& preprocess);

}  // namespace assay::datasets
