#include "harness/models/precision.h"

#include <ATen/ATen.h>
#include <c10/core/InferenceMode.h>
#include <gtest/gtest.h>

#include "harness/base/error.h"
#include "tests/harness/models/network_cases.h"

namespace assay::models {
namespace {

TEST(Precision, recipes_name_dtypes) {
  EXPECT_EQ(precision_of({}), at::kFloat);
  const auto named = [](const char* name) {
    return precision_of(numerics_from({{"numerics", {{"precision", name}}}}));
  };
  EXPECT_EQ(named("float64"), at::kDouble);
  EXPECT_EQ(named("bfloat16"), at::kBFloat16);
  EXPECT_EQ(named("float16"), at::kHalf);
  EXPECT_THROW(named("bf16"), Error);
}

std::vector<std::unique_ptr<Network>> networks() {
  std::vector<std::unique_ptr<Network>> list;
  const Json common = {{"vocab_size", 40},
                       {"hidden_size", 24},
                       {"num_hidden_layers", 2},
                       {"num_attention_heads", 6},
                       {"max_position_embeddings", 32}};
  Json llama = common, opt = common;
  llama.update({{"model_type", "llama"}, {"intermediate_size", 20}, {"num_key_value_heads", 2}});
  opt.update({{"model_type", "opt"}, {"ffn_dim", 20}});
  list.push_back(make_network("llama", llama));
  list.push_back(make_network("opt", opt));
  list.push_back(make_network("vit", {{"img_size", 8},
                                      {"patch_size", 4},
                                      {"in_chans", 3},
                                      {"embed_dim", 24},
                                      {"depth", 2},
                                      {"num_heads", 3},
                                      {"num_classes", 5}}));
  return list;
}

// The reference: the same values of the weights, everything in float64. What is left is the
// rounding of a pass in half precision: some steps of 2^-8 (bfloat16) or 2^-11 (float16).
TEST(Precision, half_precision_passes_are_the_float64_pass_but_for_rounding) {
  const c10::InferenceMode inference;
  for (const at::ScalarType type : {at::kBFloat16, at::kHalf}) {
    const double step = type == at::kBFloat16 ? 0x1p-8 : 0x1p-11;
    for (const auto& network : networks()) {
      hash_fill(*network, at::kDouble);
      network->to(type);
      const bool language = network->info().task == Task::kLanguage;
      const at::Tensor images = at::arange(2 * 3 * 8 * 8, at::kDouble).sin().reshape({2, 3, 8, 8});
      const at::Tensor tokens = (at::arange(2 * 17) * 7).remainder(40).reshape({2, 17});
      const at::Tensor input = language ? tokens : images.to(type);
      const at::Tensor half = network->forward(input);
      EXPECT_EQ(half.scalar_type(), type);
      network->to(at::kDouble);
      const at::Tensor exact = network->forward(language ? tokens : input.to(at::kDouble));
      const double error = (half.to(at::kDouble) - exact).abs().max().item<double>();
      const double largest = exact.abs().max().item<double>();
      EXPECT_LT(error, 12 * step * largest) << network->info().family;
      EXPECT_GT(error, 0) << network->info().family << ": was it computed in half precision?";
    }
  }
}

}  // namespace
}  // namespace assay::models
