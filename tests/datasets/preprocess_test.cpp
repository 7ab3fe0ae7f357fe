#include "datasets/preprocess.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include "tests/datasets/files_for_tests.h"

namespace assay::datasets {
namespace {

at::Tensor ramp(std::int64_t height, std::int64_t width) {
  return at::arange(3 * height * width).remainder(256).view({3, height, width}).to(at::kByte);
}

at::Tensor apply(const std::string& name, const at::Tensor& image) {
  return preprocess_image(image, preprocessing_named(name), "test image");
}

TEST(Preprocess, white_and_black_stay_white_and_black) {
  for (const char* name : {"deit_875", "torchvision_256", "timm_1000"}) {
    EXPECT_EQ(apply(name, at::full({3, 333, 500}, 255, at::kByte)).min().item<int>(), 255);
    EXPECT_EQ(apply(name, at::zeros({3, 333, 500}, at::kByte)).max().item<int>(), 0);
  }
}

TEST(Preprocess, every_size_becomes_224_and_224_at_ratio_1_is_untouched) {
  using Size = std::pair<std::int64_t, std::int64_t>;
  for (const auto& [height, width] : {Size{333, 500}, Size{500, 375}, Size{224, 224}, Size{50, 60}}) {
    EXPECT_EQ(apply("deit_875", ramp(height, width)).sizes(), (at::IntArrayRef{3, 224, 224}));
  }
  EXPECT_TRUE(at::equal(apply("timm_1000", ramp(224, 224)), ramp(224, 224)));
}

TEST(Preprocess, the_crop_begins_at_half_the_difference_rounded_half_to_even) {
  // Shorter side 224 already: only the crop acts. (229 - 224) / 2 = 2.5 -> 2, (231 - 224) / 2 -> 4.
  EXPECT_TRUE(at::equal(apply("timm_1000", ramp(224, 229)), ramp(224, 229).narrow(2, 2, 224)));
  EXPECT_TRUE(at::equal(apply("timm_1000", ramp(231, 224)), ramp(231, 224).narrow(1, 4, 224)));
}

// A naive loop of the antialiased triangle filter along one axis, as Pillow has it.
TEST(Preprocess, shrinking_a_ramp_equals_the_widened_triangle_filter) {
  const std::int64_t from = 512;
  const at::Tensor line = at::arange(from).mul(0.4).round().to(at::kByte);  // 0 .. 204
  const at::Tensor image = line.view({1, 1, from}).expand({3, from, from}).contiguous();
  const at::Tensor result = apply("torchvision_256", image);  // scale 2, crop begins at 16
  for (const std::int64_t column : {0, 100, 223}) {
    const double centre = (static_cast<double>(column + 16) + 0.5) * 2;
    double sum = 0;
    double weights = 0;
    for (std::int64_t i = 0; i < from; ++i) {
      const double distance = std::abs(static_cast<double>(i) + 0.5 - centre) / 2;
      const double weight = std::max(0.0, 1 - distance);
      sum += weight * line[i].item<double>();
      weights += weight;
    }
    EXPECT_NEAR(result[0][100][column].item<double>(), sum / weights, 0.51);
  }
}

TEST(Preprocess, names_are_checked) {
  expect_error(ErrorKind::kConfig, "did you mean 'deit_875'",
               [] { preprocessing_named("deit_87"); });
  expect_error(ErrorKind::kUnsupported, "train_rrc", [] { preprocessing_named("train_rrc"); });
}

TEST(Preprocess, timm_s_rule_takes_floor_of_size_by_crop_pct) {
  Json rule = {{"name", "timm"},         {"size", 224},          {"crop_pct", 0.9},
               {"crop_mode", "center"},  {"interpolation", "bilinear"}};
  EXPECT_EQ(preprocessing_from(rule).resize, 248);  // floor(248.9)
  EXPECT_EQ(preprocessing_from(rule).crop, 224);
  EXPECT_EQ(preprocessing_from(rule).interpolation, Interpolation::kBilinear);
  rule["crop_pct"] = 0.95;
  EXPECT_EQ(preprocessing_from(rule).resize, 235);
  rule["crop_pct"] = 1.0;
  rule["size"] = 4;
  EXPECT_TRUE(at::equal(preprocess_image(ramp(4, 6), preprocessing_from(rule), "x"),
                        ramp(4, 6).narrow(2, 1, 4)));
  rule["crop_mode"] = "squash";  // the ratio is not kept, nothing is cropped
  EXPECT_EQ(preprocess_image(at::full({3, 4, 900}, 9, at::kByte), preprocessing_from(rule), "x")
                .sizes(),
            (at::IntArrayRef{3, 4, 4}));
  EXPECT_EQ(preprocessing_from({{"name", "deit_875"}}).resize, 256);
  EXPECT_EQ(preprocessing_from(nullptr).resize, 0);
  rule.erase("crop_pct");
  expect_error(ErrorKind::kConfig, "lacks a member", [&] { preprocessing_from(rule); });
}

TEST(Preprocess, cifar_takes_32_by_32_only) {
  EXPECT_TRUE(at::equal(apply("cifar", ramp(32, 32)), ramp(32, 32)));
  expect_error(ErrorKind::kData, "takes 32 x 32", [] { apply("cifar", ramp(32, 33)); });
}

TEST(Preprocess, a_strip_that_would_grow_without_bound_is_an_error) {
  expect_error(ErrorKind::kData, "100 times", [] {
    apply("deit_875", at::zeros({3, 1, 9000}, at::kByte));
  });
}

}  // namespace
}  // namespace assay::datasets
