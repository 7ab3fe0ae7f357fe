#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>

namespace assay::datasets {

enum class Interpolation { kBilinear, kBicubic };

// image: uint8 [C, H, W]; returns uint8 [C, height, width], to the byte what Pillow's
// Image.resize() gives: antialiased (the filter widens with the scale, Keys' cubic has a = -0.5),
// rows first and rounded to bytes, then columns, each with weights of 22 fractional bits. A side
// that keeps its length is not filtered.
at::Tensor resample(const at::Tensor& image, std::int64_t height, std::int64_t width,
                    Interpolation interpolation);

}  // namespace assay::datasets
