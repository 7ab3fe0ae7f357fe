#pragma once

#include <ATen/core/Tensor.h>

#include <string>
#include <string_view>

#include "harness/formats/input_file.h"

namespace assay::datasets {

// How a transparent pixel of a PNG becomes RGB.
enum class Alpha {
  kDrop,   // its colour, as Pillow's convert("RGB") takes it
  kWhite,  // composed on white, as viewers show it
};

// How 16-bit grey becomes 8-bit.
enum class Grey16 {
  kClip,  // values above 255 become 255, as Pillow's convert("RGB") has it
  kHigh,  // the upper byte
};

// The defaults are what torchvision's and timm's loaders do: Pillow's convert("RGB").
struct PixelRules {
  Alpha alpha = Alpha::kDrop;
  Grey16 grey16 = Grey16::kClip;
};

// Raised when a decoder gives other values for the same file and rules.
inline constexpr int kDecodeRevision = 2;

// Decodes a JPEG or PNG, told apart by content, to uint8 [3, H, W] RGB. Grey is repeated, also
// beside alpha; palettes are resolved; the inks of CMYK JPEGs are taken as inverted, with and
// without Adobe's marker; of 16-bit colour the upper byte counts; EXIF orientation, colour profiles
// and gamma are ignored. All as Pillow, but for `rules`.
// Throws Error(kData) naming the file for anything malformed, cut off, or above 100 megapixels.
at::Tensor decode_image(const InputFile& file, const PixelRules& rules = {});

// The same for bytes in memory. `what` names them in errors.
at::Tensor decode_image(std::string_view bytes, const std::string& what,
                        const PixelRules& rules = {});

// One decoder's part: interleaved RGB rows, `pixels` is resized to height * width * 3.
struct RasterImage {
  std::int64_t width = 0;
  std::int64_t height = 0;
  std::string pixels;
};
RasterImage decode_jpeg(std::string_view bytes, const std::string& what);
RasterImage decode_png(std::string_view bytes, const std::string& what, const PixelRules& rules);

// Throws Error(kData) if what stands before the pixels of a PNG is malformed. `bytes`: its
// beginning, with `whole` all of it.
void check_png_header(std::string_view bytes, bool whole, const std::string& what);

// Throws Error(kData) if an image of that size is empty or above the limit.
void check_image_size(std::int64_t width, std::int64_t height, const std::string& what);

}  // namespace assay::datasets
