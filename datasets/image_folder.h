#pragma once

#include <memory>
#include <string>
#include <vector>

#include "datasets/image_codec.h"
#include "datasets/image_set.h"
#include "datasets/preprocess.h"

namespace assay::datasets {

// A folder with one folder a class, each with .jpg, .jpeg or .png files at any depth: what there is
// says the folder's manifest (harness/formats/image_listing.h), images are decoded when read. Class
// numbers are the places in `classes`, or, where that is empty, among the sorted folders; images
// are in order of class, then path. Throws Error(kData) as check_listing(), or if a file changed
// since the plan; Error(kConfig) for a folder that is no class.
std::unique_ptr<ImageSet> open_image_folder(const InputFile& folder,
                                            const std::vector<std::string>& classes,
                                            const Preprocessing& preprocessing,
                                            const PixelRules& rules);

}  // namespace assay::datasets
