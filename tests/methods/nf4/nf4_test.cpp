#include <ATen/ATen.h>
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "methods/nf4/method.h"
#include "methods/nf4/rounding.h"
#include "methods/quant/canary.h"
#include "tests/methods/support/method_parameters.h"
#include "tests/support/fake_context.h"
#include "tests/support/refusal.h"

namespace assay::nf4 {
namespace {

using assay::testing::refusal;
using ::testing::HasSubstr;

std::unique_ptr<models::Network> vit(StageContext&) { return quant::canary_network("vit"); }
std::unique_ptr<models::Network> opt(StageContext&) { return quant::canary_network("opt"); }

Json run(FakeContext& context, const quant::ModelLoader& loader = vit) {
  return body_of(implementations(nf4_method(), loader), "nf4.quantize")(context);
}

FakeContext context_of(const Json& given, int weight_bits = 4, int activation_bits = 16) {
  return FakeContext(parameters_of(nf4_method().declaration, given, weight_bits, activation_bits));
}

at::Tensor value_of(const at::Tensor& weight, const Options& options) {
  const quant::QuantizedLayer layer = rounded(weight, options);
  return quant::decode(layer.code, layer.grid).reshape(weight.sizes());
}

TEST(Nf4, canary) { canary(); }

TEST(Nf4, levels_are_fixed_points) {
  for (const at::ScalarType type : {at::kFloat, at::kDouble}) {
    for (const double scale : {1.0, 0.0371, 1e4}) {
      const at::Tensor weight = (levels(type) * scale).repeat({3, 4});
      const quant::QuantizedLayer layer = rounded(weight, {});
      EXPECT_TRUE(layer.code.equal(at::arange(16, at::kByte).repeat({3, 4})));
      EXPECT_TRUE(quant::decode(layer.code, layer.grid).equal(weight));
    }
  }
}

TEST(Nf4, levels_are_ascending_with_an_exact_zero_and_both_ends) {
  const at::Tensor all = levels(at::kDouble);
  ASSERT_EQ(all.numel(), 16);
  EXPECT_TRUE(all.diff().gt(0).all().item<bool>());
  EXPECT_EQ(all[0].item<double>(), -1);
  EXPECT_EQ(all[7].item<double>(), 0);
  EXPECT_EQ(all[15].item<double>(), 1);
}

TEST(Nf4, mean_squared_errors_of_gaussian_blocks) {
  at::manual_seed(40);
  const at::Tensor weight = at::randn({1000, 1000}, at::kDouble);
  for (const auto& [block, expected] : std::vector<std::pair<std::int64_t, double>>{
           {32, 0.0076}, {64, 0.0085}, {128, 0.0091}, {1024, 0.0109}}) {
    const double found =
        (value_of(weight, {.block = block}) - weight).square().mean().item<double>();
    EXPECT_NEAR(found / expected, 1, 0.03) << block;
  }
}

// One weight after the other.
std::vector<double> plain(const at::Tensor& weight, std::int64_t block) {
  const at::Tensor flat = weight.reshape({-1}), table = levels(at::kDouble);
  std::vector<double> out;
  for (std::int64_t begin = 0; begin < flat.numel(); begin += block) {
    const std::int64_t end = std::min(begin + block, flat.numel());
    double scale = 0;
    for (std::int64_t i = begin; i < end; ++i)
      scale = std::max(scale, std::abs(flat[i].item<double>()));
    if (scale == 0) scale = 1;
    for (std::int64_t i = begin; i < end; ++i) {
      const double x = flat[i].item<double>() / scale;
      double best = table[0].item<double>();
      for (std::int64_t k = 1; k < 16; ++k) {
        const double level = table[k].item<double>();
        if (std::abs(x - level) < std::abs(x - best)) best = level;
      }
      out.push_back(scale * best);
    }
  }
  return out;
}

TEST(Nf4, a_block_is_no_longer_than_the_matrix) {
  const at::Tensor weight = at::randn({4, 6});
  const quant::QuantizedLayer layer = rounded(weight, {.block = std::int64_t{1} << 30});
  EXPECT_EQ(layer.grid.group, 24);
  EXPECT_TRUE(
      value_of(weight, {.block = std::int64_t{1} << 30}).equal(value_of(weight, {.block = 24})));
}

TEST(Nf4, blocks_run_across_rows_and_through_convolutions) {
  at::manual_seed(41);
  for (const std::vector<std::int64_t>& shape :
       std::vector<std::vector<std::int64_t>>{{8, 64}, {7, 50}, {3, 5}, {4, 3, 5, 5}}) {
    at::Tensor weight = at::randn(shape, at::kDouble);
    weight.reshape({-1}).narrow(0, 0, 10).zero_();
    for (const std::int64_t block : {5, 64, 1000}) {
      EXPECT_TRUE(value_of(weight, {.block = block})
                      .reshape({-1})
                      .equal(at::tensor(plain(weight, block), at::kDouble)))
          << weight.sizes() << " " << block;
    }
  }
}

TEST(Nf4, quantized_scales_stay_near_and_empty_blocks_do_not_move_them) {
  at::manual_seed(42);
  const at::Tensor weight = at::randn({64, 640}, at::kFloat) * 0.02;
  const quant::QuantizedLayer usual = rounded(weight, {});
  const quant::QuantizedLayer coded = rounded(weight, {.double_quantization = true});
  EXPECT_LT((coded.grid.scale / usual.grid.scale - 1).abs().max().item<float>(), 0.02);
  EXPECT_GT((coded.grid.scale / usual.grid.scale - 1).abs().max().item<float>(), 0);
  at::Tensor holes = weight.clone();
  holes.narrow(0, 0, 8).zero_();
  const quant::QuantizedLayer sparse = rounded(holes, {.double_quantization = true});
  EXPECT_EQ(quant::decode(sparse.code, sparse.grid).narrow(0, 0, 8).abs().max().item<float>(), 0);
  EXPECT_LT((sparse.grid.scale / usual.grid.scale - 1).narrow(1, 80, 560).abs().max().item<float>(),
            0.02);
  EXPECT_TRUE(
      value_of(at::zeros({3, 64}), {.double_quantization = true}).equal(at::zeros({3, 64})));
}

TEST(Nf4, the_artifact_decodes_to_what_was_rounded) {
  for (const Json& given : std::vector<Json>{Json::object(),
                                             {{"block", 24}},
                                             {{"double_quantization", true}},
                                             {{"block", 1 << 20}}}) {
    FakeContext context = context_of(given);
    const Json result = run(context);
    EXPECT_EQ(result["metrics"]["quantized_layers"], 10);
    const std::unique_ptr<models::Network> network = quant::canary_network("vit");
    const std::unique_ptr<models::Network> loaded = quant::canary_network("vit");
    quant::apply_quantized(*loaded, context.output());
    for (const models::Layer& layer : network->layers()) {
      const std::string name = layer.name + ".weight";
      EXPECT_TRUE(loaded->parameters().at(name).equal(
          value_of(network->parameters().at(name),
                   {.block = given.value("block", 64),
                    .double_quantization = given.value("double_quantization", false)})))
          << layer.name << given;
    }
  }
}

TEST(Nf4, of_language_models_the_blocks_are_rounded) {
  FakeContext context = context_of({});
  const Json result = run(context, opt);
  EXPECT_EQ(result["metrics"]["quantized_layers"], 12);
  EXPECT_EQ(result["metrics"]["float_layers"], 0);
  EXPECT_EQ(result["quantization"]["weights"]["layers"], 12);
}

TEST(Nf4, bits_per_weight_count_scales_and_levels) {
  const at::Tensor weight = at::randn({256, 256}, at::kFloat);
  const auto bits = [&](const Options& options) {
    return storage_cost(rounded(weight, options)).bits_per_weight();
  };
  const double table = 16 * 32 / 65536.0;
  EXPECT_DOUBLE_EQ(bits({}), 4 + 16 / 64.0 + table);
  EXPECT_DOUBLE_EQ(bits({.double_quantization = true}),
                   4 + 8 / 64.0 + 32 / (64 * 256.0) + 32 / 65536.0 + table);
}

TEST(Nf4, sixteen_bits_leave_the_network_float) {
  FakeContext context = context_of({}, 16);
  const Json result = run(context);
  EXPECT_EQ(result["metrics"]["bits_per_weight"], 16.0);
  EXPECT_TRUE(quant::load_quantized(context.output()).layers.empty());
}

std::string refusal_of_plan(int weight_bits, int activation_bits, const Rounding& before) {
  const FakeContext context = context_of({}, weight_bits, activation_bits);
  const auto network = quant::canary_network("opt");
  return refusal([&] {
    nf4_method().stages.front().check({.context = context, .network = *network, .before = before});
  });
}

TEST(Nf4, other_bits_are_refused_by_plan_and_run) {
  EXPECT_EQ(refusal_of_plan(4, 16, {}), "no error");
  EXPECT_EQ(refusal_of_plan(16, 16, {}), "no error");
  for (const int bits : {1, 3, 5, 8, 15}) {
    const std::string message = fmt::format(
        "unsupported: w_bits = {0}: nf4 has 16 levels, which are 4 bits; write W4A16, or "
        "take another method for {0} bits",
        bits);
    EXPECT_EQ(refusal_of_plan(bits, 16, {}), message);
    FakeContext context = context_of({}, bits);
    EXPECT_EQ(refusal([&] { run(context); }), message);
  }
}

TEST(Nf4, activations_are_left_to_a_method_before_it) {
  const char* message = "unsupported: nf4 quantizes weights only";
  EXPECT_THAT(refusal_of_plan(4, 8, {.activations = false}), HasSubstr(message));
  EXPECT_EQ(refusal_of_plan(4, 8, {.activations = true}), "no error");
  EXPECT_EQ(refusal_of_plan(4, 8, {.activations = {}}), "no error");
  FakeContext context = context_of({}, 4, 8);
  EXPECT_THAT(refusal([&] { run(context); }), HasSubstr(message));
}

TEST(Nf4, weights_that_are_not_finite_are_refused_by_layer) {
  FakeContext context = context_of({});
  EXPECT_EQ(refusal([&] {
              run(context, [](StageContext& given) {
                std::unique_ptr<models::Network> network = vit(given);
                network->parameters().at("blocks.1.mlp.fc2.weight")[0][0] = NAN;
                return quant::MethodNetwork(std::move(network));
              });
            }),
            "method: layer 'blocks.1.mlp.fc2': the weight holds NaN or infinities");
}

// In float64, where no processor's rounding decides a code. Raise the stage's revision when these
// numbers move on purpose.
TEST(Nf4, golden_output_of_revision_1) {
  EXPECT_EQ(nf4_method().stages.front().declaration.revision, 1);
  const std::unique_ptr<models::Network> network = quant::canary_network("vit");
  network->to(at::kDouble);
  const quant::QuantizedModel usual = rounded(*network, {.weight_bits = 4});
  const quant::QuantizedModel coded =
      rounded(*network, {.weight_bits = 4, .double_quantization = true});
  const quant::QuantizedLayer& layer = usual.layers.at("blocks.0.attn.qkv");
  EXPECT_EQ(layer.code.sum().item<std::int64_t>(), 21919);
  EXPECT_NEAR(layer.grid.scale.sum().item<double>(), 12.662073642, 1e-6);
  const quant::QuantizedLayer& other = coded.layers.at("blocks.0.attn.qkv");
  EXPECT_EQ(other.code.sum().item<std::int64_t>(), 21922);
  EXPECT_EQ(other.scales->code.sum().item<std::int64_t>(), 6144);
}

}  // namespace
}  // namespace assay::nf4
