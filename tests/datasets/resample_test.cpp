#include "datasets/resample.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <vector>

namespace assay::datasets {
namespace {

// What Image.resize() of Pillow 12.0.0 makes of the 7 x 5 image (37 i^2 + 11 i) mod 256.
struct Case {
  std::int64_t height;
  std::int64_t width;
  Interpolation interpolation;
  std::vector<std::uint8_t> pixels;
};

const std::vector<Case> kCases = {
    {3, 4, Interpolation::kBilinear, {67, 119, 168, 168, 152, 127, 165, 191, 173, 114, 111, 166}},
    {5, 9, Interpolation::kBilinear, {0,   32,  102, 157, 110, 121, 173, 181, 118, 98,  134, 95,
                                      69,  226, 242, 156, 140, 252, 238, 107, 102, 165, 128, 148,
                                      210, 227, 172, 164, 208, 178, 105, 72,  97,  163, 185, 134,
                                      132, 180, 155, 86,  58,  88,  158, 185, 138}},
    {8, 7, Interpolation::kBilinear, {0,   48,  170, 110, 124, 212, 118, 43,  94,  106, 161, 177,
                                      156, 177, 107, 145, 34,  220, 240, 95,  247, 194, 76,  129,
                                      159, 183, 201, 197, 215, 101, 157, 111, 138, 240, 160, 169,
                                      218, 118, 76,  107, 213, 136, 146, 215, 103, 64,  100, 209,
                                      136, 132, 204, 94,  58,  96,  208, 138}},
    {3, 4, Interpolation::kBicubic, {59, 121, 172, 168, 157, 123, 168, 196, 182, 110, 103, 171}},
    {5, 9, Interpolation::kBicubic, {0,   24,  107, 167, 110, 114, 181, 188, 114, 95,  144, 89,
                                     50,  226, 255, 143, 126, 255, 247, 95,  89,  176, 128, 142,
                                     218, 235, 168, 161, 217, 187, 98,  72,  90,  171, 193, 130,
                                     129, 189, 164, 80,  58,  81,  167, 193, 135}},
    {8, 7, Interpolation::kBicubic, {0,   41,  181, 102, 115, 221, 108, 32,  95,  105, 161, 177,
                                     153, 175, 106, 150, 26,  226, 246, 87,  253, 209, 62,  134,
                                     163, 187, 207, 201, 229, 86,  171, 106, 134, 255, 156, 168,
                                     224, 117, 74,  106, 212, 135, 141, 224, 99,  61,  97,  207,
                                     135, 130, 202, 93,  57,  95,  208, 138}},
};

TEST(Resample, gives_the_bytes_of_pillow) {
  const at::Tensor i = at::arange(7 * 5);
  const at::Tensor image = (37 * i * i + 11 * i).remainder(256).to(at::kByte).view({1, 5, 7});
  for (const Case& example : kCases) {
    const at::Tensor made = resample(image, example.height, example.width, example.interpolation);
    ASSERT_EQ(made.sizes(), (at::IntArrayRef{1, example.height, example.width}));
    const auto* pixels = made.const_data_ptr<std::uint8_t>();
    EXPECT_EQ(std::vector<std::uint8_t>(pixels, pixels + made.numel()), example.pixels);
  }
}

TEST(Resample, treats_every_channel_alike) {
  const at::Tensor image = at::arange(35).mul(7).to(at::kByte).view({1, 5, 7});
  const at::Tensor two = at::cat({image, 255 - image});
  const at::Tensor made = resample(two, 3, 4, Interpolation::kBicubic);
  EXPECT_TRUE(at::equal(made[0], resample(image, 3, 4, Interpolation::kBicubic)[0]));
  EXPECT_TRUE(at::equal(made[1], resample(255 - image, 3, 4, Interpolation::kBicubic)[0]));
}

}  // namespace
}  // namespace assay::datasets
