#include "harness/formats/image_preprocessing.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/support/refusal.h"

namespace assay {
namespace {

using assay::testing::refusal;
using ::testing::HasSubstr;

Json resolve(const std::string& name, const char* configuration) {
  return resolve_preprocessing(name, Json::parse(configuration), "/m/config.json");
}

std::string preprocessing_error(const std::string& name, const char* configuration) {
  return refusal([&] { resolve(name, configuration); });
}

constexpr const char* kFull =
    R"({"pretrained_cfg": {"input_size": [3, 192, 192], "crop_pct": 0.95, "interpolation": "bilinear",
        "crop_mode": "squash"}})";

TEST(ImagePreprocessing, timm_is_what_the_checkpoint_says) {
  const Json expected = {{"name", "timm"},
                         {"size", 192},
                         {"crop_pct", 0.95},
                         {"interpolation", "bilinear"},
                         {"crop_mode", "squash"}};
  EXPECT_EQ(resolve("timm", kFull), expected);
  EXPECT_EQ(resolve("auto", kFull), expected);
  EXPECT_EQ(shown_preprocessing(expected), "timm (bilinear 192 crop_pct 0.95, squash)");
}

TEST(ImagePreprocessing, what_a_pretrained_cfg_leaves_out_has_timm_s_defaults) {
  const Json expected = {{"name", "timm"},
                         {"size", 224},
                         {"crop_pct", 0.875},
                         {"interpolation", "bicubic"},
                         {"crop_mode", "center"}};
  EXPECT_EQ(resolve("timm", R"({"pretrained_cfg": {"mean": [0.5, 0.5, 0.5]}})"), expected);
  EXPECT_EQ(resolve("timm", R"({"pretrained_cfg": {"crop_pct": null, "interpolation": ""}})"),
            expected);
}

TEST(ImagePreprocessing, the_size_is_that_of_validation_unless_the_training_one_is_meant) {
  const char* two = R"({"pretrained_cfg": {"input_size": [3, 224, 224], "crop_pct": 0.95,
                        "test_input_size": [3, 288, 288], "test_crop_pct": 1.0}})";
  EXPECT_EQ(resolve("timm", two).at("size"), 288);
  EXPECT_EQ(resolve("timm", two).at("crop_pct"), 1.0);
  EXPECT_EQ(resolve("timm_train_size", two).at("size"), 224);
  EXPECT_EQ(resolve("timm_train_size", two).at("crop_pct"), 0.95);
}

TEST(ImagePreprocessing, older_files_of_timm_are_a_pretrained_cfg_themselves) {
  EXPECT_EQ(resolve("auto", R"({"architecture": "x", "crop_pct": 0.9})").at("crop_pct"), 0.9);
}

TEST(ImagePreprocessing, without_a_pretrained_cfg_images_stay_as_they_are_and_timm_is_refused) {
  EXPECT_EQ(resolve("auto", R"({"img_size": 28})"), (Json{{"name", "none"}}));
  EXPECT_EQ(resolve("auto", "null"), (Json{{"name", "none"}}));
  EXPECT_EQ(resolve("deit_875", kFull), (Json{{"name", "deit_875"}}));
  EXPECT_THAT(preprocessing_error("timm", R"({"img_size": 28})"),
              HasSubstr("'/m/config.json' has none; name the one"));
}

TEST(ImagePreprocessing, what_is_not_offered_is_refused_by_field_and_value) {
  EXPECT_THAT(preprocessing_error("auto", R"({"pretrained_cfg": {"interpolation": "lanczos"}})"),
              HasSubstr("interpolation \"lanczos\"; expected bicubic or bilinear"));
  EXPECT_THAT(preprocessing_error("auto", R"({"pretrained_cfg": {"crop_mode": "border"}})"),
              HasSubstr("crop_mode \"border\"; expected center or squash"));
  for (const char* wrong : {"1.5", "-1", "\"1\"", "[1]", "true"}) {
    const std::string text = std::string(R"({"pretrained_cfg": {"crop_pct": )") + wrong + "}}";
    EXPECT_THAT(preprocessing_error("auto", text.c_str()), HasSubstr("crop_pct")) << wrong;
  }
  for (const char* wrong : {"224", "[3, 224]", "[3, 224, 192]", "[3, 1e9, 1e9]", "[3, 0, 0]"}) {
    const std::string text = std::string(R"({"pretrained_cfg": {"input_size": )") + wrong + "}}";
    EXPECT_THAT(preprocessing_error("auto", text.c_str()), HasSubstr("input_size")) << wrong;
  }
}

}  // namespace
}  // namespace assay
