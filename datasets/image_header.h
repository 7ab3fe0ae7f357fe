#pragma once

#include <cstdint>
#include <optional>

#include "harness/formats/input_file.h"

namespace assay::datasets {

struct ImageSize {
  std::int64_t width = 0;
  std::int64_t height = 0;
};

// The size that the header of a JPEG or PNG gives. Throws Error(kData) naming the file if its first
// bytes are of neither format, the header is cut off or malformed, or the size is 0 or above the
// decoder's limit. Nothing: more than 512 KiB of a JPEG stand before its size.
std::optional<ImageSize> read_image_size(const InputFile& file);

}  // namespace assay::datasets
