#include "datasets/image_codec.h"

#include <ATen/ATen.h>
#include <fmt/format.h>

#include "harness/base/error.h"

namespace assay::datasets {
namespace {

constexpr std::int64_t kMaxPixels = 100'000'000;
constexpr std::size_t kMaxFileBytes = std::size_t{256} << 20;
constexpr std::string_view kPngMark = "\x89PNG\r\n\x1a\n";
constexpr std::string_view kJpegMark = "\xff\xd8\xff";

}  // namespace

void check_image_size(std::int64_t width, std::int64_t height, const std::string& what) {
  if (width < 1 || height < 1 || width > kMaxPixels / height) {
    throw Error(ErrorKind::kData,
                fmt::format("{}: {} x {} pixels; legal: 1 to {}", what, width, height, kMaxPixels),
                {{"file", what}});
  }
}

at::Tensor decode_image(std::string_view bytes, const std::string& what, const PixelRules& rules) {
  RasterImage image;
  if (bytes.starts_with(kPngMark)) {
    image = decode_png(bytes, what, rules);
  } else if (bytes.starts_with(kJpegMark)) {
    image = decode_jpeg(bytes, what);
  } else {
    throw Error(ErrorKind::kData, fmt::format("{}: neither a JPEG nor a PNG", what),
                {{"file", what}});
  }
  return at::from_blob(image.pixels.data(), {image.height, image.width, 3}, at::kByte)
      .permute({2, 0, 1})
      .clone(at::MemoryFormat::Contiguous);  // [3, H, W]; contiguous() copies no single pixel
}

at::Tensor decode_image(const InputFile& file, const PixelRules& rules) {
  return decode_image(read_input(file, kMaxFileBytes), file.path.string(), rules);
}

}  // namespace assay::datasets
