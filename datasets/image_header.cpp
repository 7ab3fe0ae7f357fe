#include "datasets/image_header.h"

#include <fmt/format.h>

#include <algorithm>
#include <optional>
#include <string>

#include "datasets/file_head.h"
#include "datasets/image_codec.h"
#include "harness/base/error.h"

namespace assay::datasets {
namespace {

constexpr std::size_t kMarkBytes = 24;  // hold the size of a PNG
constexpr std::size_t kPngHeaderBytes = std::size_t{64} << 10;
constexpr std::size_t kJpegHeaderBytes = std::size_t{512}
                                         << 10;  // thumbnails and profiles come first

[[noreturn]] void refuse_header(const InputFile& file, const std::string& why) {
  throw Error(ErrorKind::kData, fmt::format("{}: {}", file.path.string(), why),
              {{"file", file.path.string()}});
}

std::int64_t big_endian(std::string_view bytes, std::size_t at, std::size_t count) {
  std::int64_t value = 0;
  for (std::size_t i = 0; i < count; ++i) {
    value = value << 8 | static_cast<unsigned char>(bytes[at + i]);
  }
  return value;
}

// A JPEG's first frame header (SOF0 to SOF15, but DHT, JPG and DAC, which share the range).
bool is_frame(int marker) {
  return marker >= 0xC0 && marker <= 0xCF && marker != 0xC4 && marker != 0xC8 && marker != 0xCC;
}

// Nothing: what stands before the frame is longer than what was read.
std::optional<ImageSize> jpeg_size(const InputFile& file, std::string_view bytes) {
  std::size_t at = 2;
  while (at + 9 <= bytes.size()) {
    // Bytes before a marker are passed over, as by libjpeg.
    if (static_cast<unsigned char>(bytes[at]) != 0xFF) {
      ++at;
      continue;
    }
    const int marker = static_cast<unsigned char>(bytes[at + 1]);
    if (marker == 0xFF) {  // a fill byte
      ++at;
      continue;
    }
    if (marker <= 1 || (marker >= 0xD0 && marker <= 0xD8)) {  // nothing belongs to it
      at += 2;
      continue;
    }
    if (is_frame(marker))
      return ImageSize{big_endian(bytes, at + 7, 2), big_endian(bytes, at + 5, 2)};
    const std::int64_t length = big_endian(bytes, at + 2, 2);
    if (length < 2) refuse_header(file, "its JPEG header is malformed");
    at += 2 + static_cast<std::size_t>(length);
  }
  if (bytes.size() < kJpegHeaderBytes) refuse_header(file, "its JPEG header is cut off");
  return std::nullopt;
}

}  // namespace

std::optional<ImageSize> read_image_size(const InputFile& file) {
  const std::string path = file.path.string();
  const std::string mark = read_head(file, kMarkBytes).bytes;
  if (mark.starts_with("\xFF\xD8\xFF")) {
    const auto size = jpeg_size(file, read_head(file, kJpegHeaderBytes).bytes);
    if (size) check_image_size(size->width, size->height, path);
    return size;
  }
  if (!mark.starts_with("\x89PNG\r\n\x1A\n")) {
    refuse_header(file, "is neither a JPEG nor a PNG; convert or remove it");
  }
  if (mark.size() < kMarkBytes) refuse_header(file, "its PNG header is cut off");
  const ImageSize size = {big_endian(mark, 16, 4), big_endian(mark, 20, 4)};
  check_image_size(size.width, size.height, path);
  const std::string bytes = read_head(file, kPngHeaderBytes).bytes;
  check_png_header(bytes, bytes.size() < kPngHeaderBytes, path);
  return size;
}

}  // namespace assay::datasets
