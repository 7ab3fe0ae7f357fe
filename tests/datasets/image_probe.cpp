#include <ATen/ATen.h>

#include <cstdio>
#include <iostream>

#include "datasets/image_codec.h"
#include "datasets/preprocess.h"
#include "harness/base/atomic_file.h"
#include "harness/base/error.h"

// Shows pillow_test.py what the decoders and preprocessings make: image_probe PREPROCESS ALPHA
// GREY16 FILE..., PREPROCESS as in recipes. A line a file, "HEIGHT WIDTH" and the RGB values of its
// rows in hexadecimal.

int main(int argc, char** argv) {
  using namespace assay;
  try {
    if (argc < 4) throw Error(ErrorKind::kConfig, "PREPROCESS ALPHA GREY16 FILE...");
    const auto preprocessing = datasets::preprocessing_from(parse_json(argv[1], "PREPROCESS"));
    const datasets::PixelRules rules = {
        .alpha = std::string(argv[2]) == "white" ? datasets::Alpha::kWhite : datasets::Alpha::kDrop,
        .grey16 =
            std::string(argv[3]) == "high" ? datasets::Grey16::kHigh : datasets::Grey16::kClip};
    for (int i = 4; i < argc; ++i) {
      const at::Tensor image = datasets::preprocess_image(
          datasets::decode_image(read_file(argv[i]), argv[i], rules), preprocessing, argv[i]);
      const at::Tensor rows = image.permute({1, 2, 0}).contiguous();  // [H, W, 3]
      std::printf("%lld %lld ", static_cast<long long>(rows.size(0)),
                  static_cast<long long>(rows.size(1)));
      for (std::int64_t j = 0; j < rows.numel(); ++j) {
        std::printf("%02x", rows.const_data_ptr<std::uint8_t>()[j]);
      }
      std::printf("\n");
    }
  } catch (const std::exception& error) {
    std::cerr << error.what() << "\n";
    return 1;
  }
  return 0;
}
