#pragma once

#include <ATen/core/Tensor.h>

#include <string>
#include <string_view>

#include "harness/core/input_file.h"

namespace assay::datasets {

// Decodes a JPEG or PNG, told apart by content, to uint8 [3, H, W] RGB. Grey is repeated; CMYK
// JPEGs are converted as Pillow does; transparent PNG pixels are composed on white; 16 bits are cut
// to 8; colour profiles and gamma are ignored, as training pipelines do.
// Throws Error(kData) naming the file for anything malformed, cut off, or above 100 megapixels.
at::Tensor decode_image(const InputFile& file);

// The same for bytes in memory. `what` names them in errors.
at::Tensor decode_image(std::string_view bytes, const std::string& what);

// One decoder's part: interleaved RGB rows, `pixels` is resized to height * width * 3.
struct RasterImage {
  std::int64_t width = 0;
  std::int64_t height = 0;
  std::string pixels;
};
RasterImage decode_jpeg(std::string_view bytes, const std::string& what);
RasterImage decode_png(std::string_view bytes, const std::string& what);

// Throws Error(kData) if an image of that size is empty or above the limit.
void check_image_size(std::int64_t width, std::int64_t height, const std::string& what);

}  // namespace assay::datasets
