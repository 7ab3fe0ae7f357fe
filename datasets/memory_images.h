#pragma once

#include <memory>

#include "datasets/image_set.h"
#include "harness/core/input_file.h"

namespace assay::datasets {

// A set that lies in memory as a whole. images: uint8 [N, C, H, W]; labels: int64 [N], each in
// 0 .. classes - 1. Throws Error(kData) naming `source` if they do not fit together.
std::unique_ptr<ImageSet> memory_images(at::Tensor images, at::Tensor labels, std::int64_t classes,
                                        const std::string& source);

// Two IDX files, images [N, H, W] or [N, C, H, W] and labels [N]. `classes`: 0 = largest label + 1.
std::unique_ptr<ImageSet> open_idx(const InputFile& images, const InputFile& labels,
                                   std::int64_t classes);

// CIFAR-10 binary files: records of 3,073 bytes, label and 3 x 32 x 32 values.
std::unique_ptr<ImageSet> open_cifar(const FileSet& files);

}  // namespace assay::datasets
