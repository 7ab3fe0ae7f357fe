#include <fmt/format.h>

#include <csetjmp>
#include <cstdio>
// After <cstdio>: the header uses FILE without declaring it.
#include <jerror.h>
#include <jpeglib.h>

#include "datasets/image_codec.h"
#include "harness/base/error.h"

namespace assay::datasets {
namespace {

// A progressive file may hold thousands of tiny scans, each of which costs a pass over the image.
constexpr int kMaxScans = 500;

// libjpeg reports by calling back; the handlers jump to the mark set in the calling function, whose
// locals need no destructors.
struct JpegDecoder {
  jpeg_decompress_struct info{};
  jpeg_error_mgr errors{};
  jpeg_progress_mgr progress{};
  std::jmp_buf mark{};
  char message[JMSG_LENGTH_MAX]{};
  bool started = false;

  JpegDecoder() = default;
  JpegDecoder(const JpegDecoder&) = delete;
  JpegDecoder& operator=(const JpegDecoder&) = delete;
  ~JpegDecoder() {
    if (started) {
      jpeg_destroy_decompress(&info);
    }
  }
};

JpegDecoder& decoder_of(j_common_ptr info) { return *static_cast<JpegDecoder*>(info->client_data); }

void on_jpeg_error(j_common_ptr info) {
  info->err->format_message(info, decoder_of(info).message);
  std::longjmp(decoder_of(info).mark, 1);
}

// A negative level is a warning about damaged data. A file that ends early is refused; oddities
// such as extra bytes before a marker are tolerated, as everywhere (ImageNet has some).
void on_message(j_common_ptr info, int level) {
  if (level < 0 && info->err->msg_code == JWRN_JPEG_EOF) {
    on_jpeg_error(info);
  }
}

void on_progress(j_common_ptr info) {
  JpegDecoder& decoder = decoder_of(info);
  if (decoder.info.input_scan_number > kMaxScans) {
    std::snprintf(decoder.message, sizeof(decoder.message), "more than %d scans", kMaxScans);
    std::longjmp(decoder.mark, 1);
  }
}

bool read_jpeg_header(JpegDecoder& decoder, const unsigned char* bytes, unsigned long size) {
  decoder.info.err = jpeg_std_error(&decoder.errors);
  decoder.info.client_data = &decoder;
  decoder.errors.error_exit = on_jpeg_error;
  decoder.errors.emit_message = on_message;
  decoder.progress.progress_monitor = on_progress;
  if (setjmp(decoder.mark) != 0) {
    return false;
  }
  jpeg_create_decompress(&decoder.info);
  decoder.started = true;
  decoder.info.client_data = &decoder;
  decoder.info.progress = &decoder.progress;
  jpeg_mem_src(&decoder.info, bytes, size);
  jpeg_read_header(&decoder.info, TRUE);
  const bool four = decoder.info.num_components == 4;
  decoder.info.out_color_space = four ? JCS_CMYK : JCS_RGB;
  return true;
}

// rows: height * width * channels bytes.
bool read_jpeg_rows(JpegDecoder& decoder, unsigned char* rows, std::size_t row_bytes) {
  if (setjmp(decoder.mark) != 0) {
    return false;
  }
  jpeg_start_decompress(&decoder.info);
  while (decoder.info.output_scanline < decoder.info.output_height) {
    JSAMPROW row = rows + decoder.info.output_scanline * row_bytes;
    jpeg_read_scanlines(&decoder.info, &row, 1);
  }
  jpeg_finish_decompress(&decoder.info);
  return true;
}

// Pillow's conversion: (255 - k) (255 - c) / 255 with its rounding. It takes the inks of every file
// as inverted, as Adobe's are, whether an APP14 marker says so or not.
std::string rgb_of_cmyk(const std::string& inks) {
  std::string rgb;
  rgb.reserve(inks.size() / 4 * 3);
  const auto ink = [&](std::size_t at) { return 255 - static_cast<unsigned char>(inks[at]); };
  for (std::size_t pixel = 0; pixel + 3 < inks.size(); pixel += 4) {
    const int light = 255 - ink(pixel + 3);
    for (std::size_t channel = 0; channel < 3; ++channel) {
      const int product = ink(pixel + channel) * light + 128;
      rgb.push_back(static_cast<char>(light - ((product >> 8) + product) / 256));
    }
  }
  return rgb;
}

}  // namespace

RasterImage decode_jpeg(std::string_view bytes, const std::string& what) {
  JpegDecoder decoder;
  const auto refuse = [&] {
    throw Error(ErrorKind::kData, fmt::format("{}: damaged JPEG: {}", what, decoder.message),
                {{"file", what}});
  };
  if (!read_jpeg_header(decoder, reinterpret_cast<const unsigned char*>(bytes.data()),
                        bytes.size())) {
    refuse();
  }
  RasterImage image;
  image.width = decoder.info.image_width;
  image.height = decoder.info.image_height;
  check_image_size(image.width, image.height, what);
  const bool cmyk = decoder.info.out_color_space == JCS_CMYK;
  const std::size_t row_bytes = static_cast<std::size_t>(image.width) * (cmyk ? 4 : 3);
  image.pixels.resize(row_bytes * static_cast<std::size_t>(image.height));
  if (!read_jpeg_rows(decoder, reinterpret_cast<unsigned char*>(image.pixels.data()), row_bytes)) {
    refuse();
  }
  if (cmyk) {
    image.pixels = rgb_of_cmyk(image.pixels);
  }
  return image;
}

}  // namespace assay::datasets
