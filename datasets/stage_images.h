#pragma once

#include <memory>

#include "datasets/image_set.h"
#include "harness/contract/stage_context.h"

namespace assay::datasets {

// The images of the stage's data set and split, kept warm in its executor. Throws Error(kConfig) if
// the recipe has no data, and what open_images throws.
std::shared_ptr<const ImageSet> images_of(StageContext& context);

}  // namespace assay::datasets
