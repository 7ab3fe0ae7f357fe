#pragma once

#include <memory>
#include <string>
#include <vector>

#include "datasets/image_set.h"

namespace assay::datasets {

// A set that lies in memory as a whole. images: uint8 [N, C, H, W]; labels: int64 [N], each in
// 0 .. classes - 1. Throws Error(kData) naming `source` if they do not fit together.
std::unique_ptr<ImageSet> memory_images(const at::Tensor& images, const at::Tensor& labels,
                                        std::int64_t classes, const std::string& source);

// uint8 values of that shape, copied.
at::Tensor byte_tensor(const std::string& bytes, const std::vector<std::int64_t>& shape);

}  // namespace assay::datasets
