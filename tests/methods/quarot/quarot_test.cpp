#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "harness/base/atomic_file.h"
#include "harness/formats/checkpoint_layout.h"
#include "harness/models/tensor_file.h"
#include "methods/quant/canary.h"
#include "methods/quant/quantized_model.h"
#include "methods/quarot/method.h"
#include "methods/quarot/rotation.h"
#include "methods/quarot/rounding.h"
#include "tests/methods/support/method_parameters.h"
#include "tests/support/fake_context.h"
#include "tests/support/refusal.h"

namespace assay::quarot {
namespace {

using ::testing::HasSubstr;
using testing::refusal;

std::unique_ptr<models::Network> opt(StageContext&) { return quant::canary_network("opt"); }

Json parameters(const Json& given, int weights, int activations, int cache = kFloatBits) {
  Json all = parameters_of(quarot_method().declaration, given, weights, activations);
  all["kv_bits"] = cache;
  return all;
}

// Both stages, the second on what the first made.
class QuarotStages : public ::testing::Test {
 protected:
  void rotate(const Json& given = Json::object(), std::int64_t seed = 0) {
    FakeContext context(parameters(given, 16, 16), seed);
    context.folder = rotated_.path();
    body_of(implementations(quarot_method(), opt), "quarot.rotate")(context);
  }

  std::unique_ptr<models::Network> network() const {
    return models::load_network(checkpoint_on_disk(rotated_.path()));
  }

  Json quantize(FakeContext& context) const {
    const auto loader = [this](StageContext&) { return quant::MethodNetwork(network()); };
    return body_of(implementations(quarot_method(), loader), "quarot.quantize")(context);
  }

  std::string weights() const { return read_file(rotated_.path() / "model.safetensors"); }

  const at::NoGradGuard no_gradients_;
  TemporaryFolder rotated_;
};

TEST(Quarot, canary) { EXPECT_NO_THROW(canary()); }

TEST_F(QuarotStages, a_seed_gives_the_same_bytes_and_another_others) {
  rotate({}, 4);
  const std::string once = weights();
  rotate({}, 4);
  EXPECT_TRUE(weights() == once);
  rotate({}, 5);
  EXPECT_FALSE(weights() == once);
  rotate({{"rotation", "random"}}, 4);
  EXPECT_FALSE(weights() == once);
}

TEST_F(QuarotStages, the_rotation_reads_no_bits) {
  for (const MethodStage& stage : quarot_method().stages) {
    if (stage.declaration.name != "quarot.rotate") continue;
    EXPECT_EQ(stage.declaration.reads, std::vector<std::string>{"rotation"});
    EXPECT_TRUE(stage.declaration.inputs.empty());
  }
}

TEST_F(QuarotStages, its_artifacts_give_the_network_that_it_made) {
  rotate();
  FakeContext context(parameters({{"kv_group", 16}}, 4, 4, 4));
  const Json result = quantize(context);
  EXPECT_EQ(result["metrics"]["quantized_layers"], 12);
  EXPECT_EQ(result["metrics"]["quantized_sites"], 12);  // 4 inputs, keys and values a block
  const auto loaded = network();
  const std::unique_ptr<models::Tap> tap = quant::apply_quantized(*loaded, context.output());
  const auto by_hand = network();
  const quant::QuantizedModel made = quantized(
      *by_hand, {.weight_bits = 4, .activation_bits = 4, .cache_bits = 4, .cache_group = 16});
  const std::unique_ptr<models::Tap> own = quant::apply(made, *by_hand);
  const at::Tensor tokens = quant::canary_inputs(*loaded, 5);
  EXPECT_TRUE(loaded->forward(tokens, *tap).equal(by_hand->forward(tokens, *own)));
}

TEST_F(QuarotStages, what_is_left_to_the_next_method_stays_float) {
  rotate();
  for (const auto& [part, layers, sites] : {std::tuple<const char*, int, int>{"weights", 12, 0},
                                            {"activations", 0, 12},
                                            {"none", 0, 0}}) {
    FakeContext context(parameters({{"quantize", part}}, 4, 4, 4));
    const Json result = quantize(context);
    EXPECT_EQ(result["metrics"]["quantized_layers"], layers) << part;
    EXPECT_EQ(result["metrics"]["quantized_sites"], sites) << part;
    EXPECT_FALSE(result.contains("note")) << part;
  }
}

TEST_F(QuarotStages, every_option_matters) {
  rotate();
  FakeContext defaults(parameters({}, 4, 4, 4));
  quantize(defaults);
  const auto text = [](FakeContext& context) {
    return read_file(context.output() / "codes.safetensors") +
           read_file(context.output() / "quantization.json");
  };
  for (const Json& given : std::vector<Json>{{{"weight_clip", true}},
                                             {{"act_clip", 0.9}},
                                             {{"kv_clip", 0.95}},
                                             {{"kv_group", 16}},
                                             {{"kv_group", 4}},
                                             {{"kv_symmetric", false}}}) {
    FakeContext context(parameters(given, 4, 4, 4));
    quantize(context);
    EXPECT_FALSE(text(context) == text(defaults)) << given;
    const auto loaded = network();
    const std::unique_ptr<models::Tap> tap = quant::apply_quantized(*loaded, context.output());
    EXPECT_TRUE(
        loaded->forward(quant::canary_inputs(*loaded, 2), *tap).isfinite().all().item<bool>());
  }
}

// Raise the stages' revisions when these numbers move on purpose.
TEST_F(QuarotStages, golden_output_of_revision_1) {
  for (const MethodStage& stage : quarot_method().stages) {
    EXPECT_EQ(stage.declaration.revision, 1);
  }
  rotate();
  const auto made = network();
  double size = 0;
  for (const auto& [name, slot] : made->parameters().slots()) {
    size += slot->abs().sum(at::kDouble).item<double>();
  }
  EXPECT_NEAR(size, 1541.49600, 1e-3);
  FakeContext context(parameters({{"weight_clip", true}}, 4, 8));
  quantize(context);
  const quant::QuantizedModel model = quant::load_quantized(context.output());
  EXPECT_EQ(model.layers.at("model.decoder.layers.0.fc1").code.sum(at::kLong).item<std::int64_t>(),
            16391);
}

TEST(QuarotGrid, is_that_of_the_largest_weight_unless_it_is_searched) {
  const at::Tensor weight =
      at::tensor({7.0, -3.4, 0.6, 1.0, 0.02, -0.04, 0.01, 0.07}).reshape({2, 4}).to(at::kFloat);
  const quant::Grid plain = absmax_full_grid(weight, 4, false);
  EXPECT_TRUE(plain.scale.allclose(at::tensor({1.0, 0.01}).reshape({2, 1}).to(at::kFloat)));
  EXPECT_TRUE(quant::encode(weight, plain)
                  .equal(at::tensor({15, 5, 9, 9, 10, 4, 9, 15}).reshape({2, 4}).to(at::kFloat)));
  // A row of many small weights and a large one gives up some of the large one.
  const at::Tensor long_row =
      at::cat({at::full({1, 1}, 3.0), at::linspace(-1, 1, 400, at::kDouble).reshape({1, 400})}, 1);
  const auto error = [&](const quant::Grid& grid) {
    return (quant::fake_quantize(long_row, grid) - long_row).abs().pow(2.4).sum().item<double>();
  };
  const quant::Grid searched = absmax_full_grid(long_row, 3, true);
  const quant::Grid whole = absmax_full_grid(long_row, 3, false);
  EXPECT_LT(searched.scale.item<double>(), whole.scale.item<double>());
  EXPECT_LT(error(searched), error(whole));
  for (int i = 0; i < 80; ++i) {
    quant::Grid other = whole;
    other.scale = whole.scale * (1.0 - i / 100.0);
    EXPECT_LE(error(searched), error(other) * (1 + 1e-12)) << i;
  }
}

class QuarotChecks : public ::testing::Test {
 protected:
  // What the plan says of both stages.
  std::string check_on(const models::Network& network, const Json& given, Bits bits,
                       Rounding before = {}) {
    FakeContext context(parameters(given, bits.weights, bits.activations, bits.cache));
    return refusal([&] {
      for (const MethodStage& stage : quarot_method().stages) {
        stage.check({.context = context, .network = network, .samples = {}, .before = before});
      }
    });
  }

  std::string check(const Json& given, Bits bits, Rounding before = {}) {
    return check_on(*quant::canary_network("opt"), given, bits, before);
  }

  // Heads of 6 channels, which no Hadamard matrix fits, but 24 together.
  static std::unique_ptr<models::Network> odd_heads() {
    return models::make_network("llama", {{"model_type", "llama"},
                                          {"vocab_size", 40},
                                          {"hidden_size", 24},
                                          {"intermediate_size", 40},
                                          {"num_hidden_layers", 1},
                                          {"num_attention_heads", 4},
                                          {"max_position_embeddings", 32}});
  }
};

TEST_F(QuarotChecks, what_can_be_done_is_not_refused) {
  EXPECT_EQ(check({}, {4, 4, 4}), "no error");
  EXPECT_EQ(check({{"quantize", "activations"}, {"kv_group", 16}}, {4, 4, 4}), "no error");
  EXPECT_EQ(check({{"kv_symmetric", false}}, {2, 2, 1}), "no error");
  EXPECT_EQ(check_on(*odd_heads(), {}, {4, 4, 16}), "no error");
}

TEST_F(QuarotChecks, what_cannot_be_is_refused_before_it_runs) {
  EXPECT_THAT(check_on(*odd_heads(), {}, {4, 4, 4}),
              HasSubstr("kv_bits = 4, for which quarot rotates keys (write bits without KV to "
                        "leave them): the width of a head is 6"));
  EXPECT_THAT(check_on(*odd_heads(), {{"quantize", "weights"}}, {4, 4, 4}),
              HasSubstr("kv_bits = 4"));
  EXPECT_THAT(check({{"kv_group", 5}}, {4, 4, 4}),
              HasSubstr("kv_group = 5: a head has 16 channels; write -1"));
  EXPECT_THAT(check({{"kv_group", 0}}, {4, 4, 4}), HasSubstr("kv_group = 0"));
  EXPECT_THAT(check({}, {4, 4, 1}), HasSubstr("kv_bits = 1: a symmetric range"));
  EXPECT_THAT(check({}, {1, 4, 4}), HasSubstr("w_bits = 1 with a symmetric grid"));
  EXPECT_THAT(check({}, {4, 1, 4}), HasSubstr("a_bits = 1 with a symmetric grid"));
  EXPECT_THAT(check_on(*quant::canary_network("vit"), {}, {4, 4, 16}),
              HasSubstr("networks of family 'vit' have none"));
}

TEST_F(QuarotChecks, it_comes_before_what_rounds_and_what_puts_a_prefix_in_front) {
  EXPECT_THAT(check({}, {4, 4, 4}, {.weights = true}), HasSubstr("quarot works on float weights"));
  EXPECT_THAT(check({}, {4, 4, 4}, {.activations = true}),
              HasSubstr("quarot works on float activations"));
  EXPECT_THAT(check({}, {4, 4, 4}, {.cache = true}), HasSubstr("let quarot come first"));
  EXPECT_THAT(check({}, {4, 4, 4}, {.prefix = 1}), HasSubstr("quarot + cushioncache"));
  EXPECT_THAT(check({}, {4, 4, 4}, {.rotated = true}), HasSubstr("stands twice"));
}

}  // namespace
}  // namespace assay::quarot
