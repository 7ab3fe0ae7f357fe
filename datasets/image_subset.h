#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "datasets/image_set.h"

namespace assay::datasets {

// What `limit` takes: image floor(i size / limit) for i below the limit, so that a set in order of
// its classes gives of each as many as its share, to one image.
inline constexpr const char* kLimitRule = "spread";
std::vector<std::int64_t> spread_indices(std::int64_t size, std::int64_t limit);

// Those images, in their order. A limit of 0, or of at least the size, takes all.
std::shared_ptr<const ImageSet> spread_subset(std::shared_ptr<const ImageSet> images,
                                              std::int64_t limit);

}  // namespace assay::datasets
