#include "harness/supervise/artifact_check.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "harness/base/atomic_file.h"
#include "harness/base/json.h"
#include "harness/formats/safetensors_file.h"
#include "tests/support/refusal.h"
#include "tests/support/temporary_folder.h"

namespace assay::supervise {
namespace {

using assay::testing::refusal;
using ::testing::HasSubstr;

class ArtifactCheck : public ::testing::Test {
 protected:
  // Codes [2, 6] in two groups of three columns, written with the scales and the shape given.
  void write(std::vector<float> scales, std::vector<std::int64_t> shape, const char* dtype = "U8") {
    const std::vector<std::uint8_t> code(12, 1);
    const std::vector<float> zero(scales.size(), 0);
    const auto bytes = [](const auto& values) { return std::as_bytes(std::span(values)); };
    write_safetensors(folder_.path() / "codes.safetensors",
                      {{"fc.code", {dtype, {2, 6}, bytes(code)}},
                       {"fc.scale", {"F32", shape, bytes(scales)}},
                       {"fc.zero", {"F32", shape, bytes(zero)}}});
    write_text("quantization.json", description_.dump());
  }
  void write_text(const char* name, const std::string& text) {
    write_file_atomically(folder_.path() / name, text);
  }
  std::string problem() {
    return refusal([&] { check_artifact(folder_.path()); });
  }

  TemporaryFolder folder_;
  Json description_ = {{"format", 1},
                       {"method", "m"},
                       {"layers", {{"fc", {{"bits", 4}, {"group", 3}}}}},
                       {"activations", Json::object()}};
};

TEST_F(ArtifactCheck, a_quantized_model_passes) {
  write({1, 1, 1, 1}, {2, 2});
  EXPECT_EQ(problem(), "no error");
}

TEST_F(ArtifactCheck, shapes_scales_and_descriptions_are_looked_at) {
  write({1, 1}, {2, 1});
  EXPECT_THAT(problem(), HasSubstr("expected [2 or 1, 2]"));
  write({1, 0, 1, 1}, {2, 2});
  EXPECT_THAT(problem(), HasSubstr("layer 'fc': a scale is 0"));
  write({1, std::numeric_limits<float>::quiet_NaN(), 1, 1}, {2, 2});
  EXPECT_THAT(problem(), HasSubstr("a scale is nan"));
  description_["layers"]["fc"]["bits"] = 40;
  write({1, 1, 1, 1}, {2, 2});
  EXPECT_THAT(problem(), HasSubstr("layer 'fc': bits is 40"));
  description_["layers"] = {{"fc2", {{"bits", 4}, {"group", 3}}}};
  write({1, 1, 1, 1}, {2, 2});
  EXPECT_THAT(problem(), HasSubstr("fc2.code"));
  write_text("quantization.json", "{");
  EXPECT_THAT(problem(), HasSubstr("not valid JSON"));
}

TEST_F(ArtifactCheck, grids_with_levels_are_looked_at) {
  description_["layers"]["fc"] = {{"bits", 1}, {"group", 5}};
  const std::vector<std::uint8_t> code(12, 1);
  const std::vector<float> levels = {-1, 1, 2};
  const auto bytes = [](const auto& values) { return std::as_bytes(std::span(values)); };
  const auto problem_of = [&](std::vector<float> scale, std::int64_t table, bool coded) {
    std::map<std::string, TensorSource> tensors = {
        {"fc.code", {"U8", {2, 6}, bytes(code)}},
        {"fc.levels", {"F32", {table}, bytes(levels).first(static_cast<std::size_t>(table) * 4)}}};
    const auto count = static_cast<std::int64_t>(scale.size());
    if (coded) {
      tensors["fc.scale_code"] = {"U8", {1, 3}, bytes(code).first(3)};
      tensors["fc.scale_step"] = {"F32", {1, count}, bytes(scale)};
    } else {
      tensors["fc.scale"] = {"F32", {1, count}, bytes(scale)};
    }
    write_safetensors(folder_.path() / "codes.safetensors", tensors);
    write_text("quantization.json", description_.dump());
    return problem();
  };
  EXPECT_EQ(problem_of({1, 1, 1}, 2, false), "no error");
  EXPECT_EQ(problem_of({1}, 2, true), "no error");
  EXPECT_THAT(problem_of({1, 1}, 2, false), HasSubstr("expected [1, 3]"));
  EXPECT_THAT(problem_of({1, -1, 1}, 2, false), HasSubstr("layer 'fc': a scale is -1"));
  EXPECT_THAT(problem_of({0}, 2, true), HasSubstr("layer 'fc': a scale is 0"));
  EXPECT_THAT(problem_of({1, 1, 1}, 3, false), HasSubstr("'fc.levels' must be 2 numbers"));
  description_["layers"]["fc"]["group"] = -1;
  EXPECT_THAT(problem_of({1, 1, 1}, 2, false), HasSubstr("expected [1, 0]"));
  EXPECT_THAT(problem_of({1}, 2, true), HasSubstr("expected [1, 0]"));
}

TEST_F(ArtifactCheck, headers_of_all_tensor_files_must_fit) {
  write_text("samples.safetensors", "rubbish rubbish rubbish");
  EXPECT_THAT(problem(), HasSubstr("samples.safetensors"));
}

TEST_F(ArtifactCheck, a_checkpoint_has_weights) {
  write_text("config.json", R"({"model_type": "opt"})");
  EXPECT_THAT(problem(), HasSubstr("has its weights beside config.json"));
  write_text("config.json", "[]");
  EXPECT_THAT(problem(), HasSubstr("must be a JSON object"));
}

}  // namespace
}  // namespace assay::supervise
