#include <fmt/format.h>
#include <png.h>

#include <algorithm>
#include <cstring>
#include <vector>

#include "datasets/image_codec.h"
#include "harness/base/error.h"

namespace assay::datasets {
namespace {

// As in image_jpeg.cpp: libpng jumps to the mark of a function whose locals need no destructors.
struct PngDecoder {
  png_structp png = nullptr;
  png_infop info = nullptr;
  const char* next = nullptr;
  std::size_t left = 0;
  bool cut_off = false;  // more was asked for than there is
  char message[128]{};

  PngDecoder() = default;
  PngDecoder(const PngDecoder&) = delete;
  PngDecoder& operator=(const PngDecoder&) = delete;
  ~PngDecoder() { png_destroy_read_struct(&png, &info, nullptr); }
};

void on_png_error(png_structp png, png_const_charp message) {
  auto& decoder = *static_cast<PngDecoder*>(png_get_error_ptr(png));
  std::strncpy(decoder.message, message, sizeof(decoder.message) - 1);
  png_longjmp(png, 1);
}

void on_warning(png_structp, png_const_charp) {}

void read_bytes(png_structp png, png_bytep out, std::size_t size) {
  auto& decoder = *static_cast<PngDecoder*>(png_get_io_ptr(png));
  if (size > decoder.left) {
    decoder.cut_off = true;
    png_error(png, "the file is cut off");
  }
  std::memcpy(out, decoder.next, size);
  decoder.next += size;
  decoder.left -= size;
}

[[noreturn]] void refuse_png(const PngDecoder& decoder, const std::string& what) {
  throw Error(ErrorKind::kData, fmt::format("{}: damaged PNG: {}", what, decoder.message),
              {{"file", what}});
}

bool read_png_header(PngDecoder& decoder) {
  decoder.png = png_create_read_struct(PNG_LIBPNG_VER_STRING, &decoder, on_png_error, on_warning);
  if (decoder.png == nullptr) {
    return false;
  }
  if (setjmp(png_jmpbuf(decoder.png)) != 0) {
    return false;
  }
  decoder.info = png_create_info_struct(decoder.png);
  png_set_read_fn(decoder.png, &decoder, read_bytes);
  png_set_chunk_malloc_max(decoder.png, png_alloc_size_t{8} << 20);
  png_read_info(decoder.png, decoder.info);
  return true;
}

// Everything becomes 8-bit RGBA, or, with `grey16`, stays as big-endian values of 16 bits.
bool read_png_rows(PngDecoder& decoder, png_bytepp rows, std::size_t row_bytes, bool grey16) {
  if (setjmp(png_jmpbuf(decoder.png)) != 0) {
    return false;
  }
  if (!grey16) {
    png_set_expand(decoder.png);
    png_set_strip_16(decoder.png);
    png_set_gray_to_rgb(decoder.png);
    png_set_add_alpha(decoder.png, 255, PNG_FILLER_AFTER);
  }
  png_set_interlace_handling(decoder.png);
  png_read_update_info(decoder.png, decoder.info);
  if (png_get_rowbytes(decoder.png, decoder.info) != row_bytes) {
    png_error(decoder.png, "unexpected row size");
  }
  png_read_image(decoder.png, rows);
  png_read_end(decoder.png, nullptr);
  return true;
}

// As Pillow's convert("RGB"), which torchvision and timm call.
std::string without_alpha(const std::string& rgba) {
  std::string rgb;
  rgb.reserve(rgba.size() / 4 * 3);
  for (std::size_t pixel = 0; pixel + 3 < rgba.size(); pixel += 4) {
    rgb.append(rgba, pixel, 3);
  }
  return rgb;
}

std::string composed_on_white(const std::string& rgba) {
  std::string rgb;
  rgb.reserve(rgba.size() / 4 * 3);
  for (std::size_t pixel = 0; pixel + 3 < rgba.size(); pixel += 4) {
    const int alpha = static_cast<unsigned char>(rgba[pixel + 3]);
    for (std::size_t channel = 0; channel < 3; ++channel) {
      const int value = static_cast<unsigned char>(rgba[pixel + channel]);
      rgb.push_back(static_cast<char>((value * alpha + 255 * (255 - alpha) + 127) / 255));
    }
  }
  return rgb;
}

// Pillow's conversion of 16-bit grey: values above 255 become 255. `transparent`: a value that is
// shown as white; -1: none.
std::string clipped(const std::string& grey, int transparent) {
  std::string rgb;
  rgb.reserve(grey.size() / 2 * 3);
  for (std::size_t at = 0; at + 1 < grey.size(); at += 2) {
    const int value =
        static_cast<unsigned char>(grey[at]) << 8 | static_cast<unsigned char>(grey[at + 1]);
    rgb.append(3, static_cast<char>(value == transparent ? 255 : std::min(value, 255)));
  }
  return rgb;
}

// The grey value that a tRNS chunk declares transparent, or -1.
int transparent_grey(const PngDecoder& decoder) {
  png_color_16p color = nullptr;
  if (png_get_tRNS(decoder.png, decoder.info, nullptr, nullptr, &color) == 0 || color == nullptr) {
    return -1;
  }
  return color->gray;
}

}  // namespace

void check_png_header(std::string_view bytes, bool whole, const std::string& what) {
  PngDecoder decoder;
  decoder.next = bytes.data();
  decoder.left = bytes.size();
  if (read_png_header(decoder) || (!whole && decoder.cut_off)) return;
  refuse_png(decoder, what);
}

RasterImage decode_png(std::string_view bytes, const std::string& what, const PixelRules& rules) {
  PngDecoder decoder;
  decoder.next = bytes.data();
  decoder.left = bytes.size();
  if (!read_png_header(decoder)) refuse_png(decoder, what);
  RasterImage image;
  image.width = png_get_image_width(decoder.png, decoder.info);
  image.height = png_get_image_height(decoder.png, decoder.info);
  check_image_size(image.width, image.height, what);
  const bool grey16 = rules.grey16 == Grey16::kClip &&
                      png_get_bit_depth(decoder.png, decoder.info) == 16 &&
                      png_get_color_type(decoder.png, decoder.info) == PNG_COLOR_TYPE_GRAY;
  const std::size_t row_bytes = static_cast<std::size_t>(image.width) * (grey16 ? 2 : 4);
  std::string values(row_bytes * static_cast<std::size_t>(image.height), '\0');
  std::vector<png_bytep> rows;
  for (std::int64_t row = 0; row < image.height; ++row) {
    rows.push_back(reinterpret_cast<png_bytep>(values.data()) +
                   static_cast<std::size_t>(row) * row_bytes);
  }
  if (!read_png_rows(decoder, rows.data(), row_bytes, grey16)) refuse_png(decoder, what);
  const bool white = rules.alpha == Alpha::kWhite;
  if (grey16) {
    image.pixels = clipped(values, white ? transparent_grey(decoder) : -1);
  } else {
    image.pixels = white ? composed_on_white(values) : without_alpha(values);
  }
  return image;
}

}  // namespace assay::datasets
