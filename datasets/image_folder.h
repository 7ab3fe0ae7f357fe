#pragma once

#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "datasets/image_set.h"

namespace assay::datasets {

// A folder with one folder a class, each with .jpg, .jpeg or .png files (any case). A class's
// number is its place among the sorted folder names; images are in order of class, then file name.
// Images are decoded when read. Throws Error(kIo) if the folder cannot be listed, Error(kData) if
// it has no class or a class has no image.
std::unique_ptr<ImageSet> open_image_folder(const std::filesystem::path& folder,
                                            const std::string& preprocess);

}  // namespace assay::datasets
