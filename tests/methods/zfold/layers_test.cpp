#include "methods/zfold/layers.h"

#include <ATen/ATen.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <memory>
#include <string>
#include <vector>

#include "harness/models/network.h"
#include "methods/gptq/layer.h"
#include "tests/methods/zfold/plain_zfold.h"

namespace assay::zfold {
namespace {

// One block of 8 channels, in float64.
std::unique_ptr<models::Network> small_network(const std::string& family) {
  const Json opt = {{"model_type", "opt"},
                    {"hidden_size", 8},
                    {"num_hidden_layers", 1},
                    {"num_attention_heads", 2},
                    {"ffn_dim", 12},
                    {"vocab_size", 16},
                    {"word_embed_proj_dim", 8},
                    {"max_position_embeddings", 16}};
  const Json llama = {{"model_type", "llama"},    {"hidden_size", 8},
                      {"num_hidden_layers", 1},   {"num_attention_heads", 2},
                      {"num_key_value_heads", 1}, {"intermediate_size", 12},
                      {"vocab_size", 16},         {"max_position_embeddings", 16},
                      {"rms_norm_eps", 1e-5}};
  std::unique_ptr<models::Network> network =
      models::make_network(family, family == "opt" ? opt : llama);
  models::initialise(*network, 3);
  network->to(at::kDouble);
  return network;
}

at::Tensor random_moments(std::int64_t n) {
  const at::Tensor x =
      at::matmul(at::randn({n, n}, at::kDouble), at::randn({n, 4 * n}, at::kDouble));
  at::Tensor moments = at::matmul(x, x.t()) / static_cast<double>(n);
  moments[2].zero_(), moments.select(1, 2).zero_();  // a dead input
  return moments;
}

// Of every layer of the block; those of one site share them.
std::vector<quant::LayerMoments> moments_of(const models::Network& network) {
  at::manual_seed(11);
  std::vector<quant::LayerMoments> all;
  for (const models::Layer& layer : network.layers()) {
    if (layer.unit != 0) continue;
    const bool shared = !all.empty() && all.back().layer.input_site == layer.input_site;
    const std::int64_t columns = network.parameters().at(layer.name + ".weight").size(1);
    all.push_back({.layer = layer, .column = shared ? all.back().column : random_moments(columns)});
  }
  return all;
}

std::vector<std::string> layers_with_zeta(const models::Network& network) {
  std::vector<std::string> names;
  for (const auto& [name, result] : quantize_layers(network, moments_of(network), {})) {
    if (result.layer.grid.zeta.defined()) names.push_back(name.substr(name.rfind('.') + 1));
  }
  return names;
}

void expect_is_plain(const quant::LayerResult& made, const PlainLayer& plain,
                     const std::string& name) {
  const Matrix code = matrix_of(made.layer.code.to(at::kDouble));
  EXPECT_EQ(code, plain.code) << name;
  for (std::size_t r = 0; r < code.size(); ++r) {
    const auto row = static_cast<std::int64_t>(r);
    EXPECT_NEAR(made.layer.grid.scale[row][0].item<double>() / plain.scale[r], 1, 1e-9) << name;
    EXPECT_EQ(made.layer.grid.zero[row][0].item<double>(), plain.zero[r]) << name;
  }
  if (!made.layer.grid.zeta.defined()) return;
  for (std::size_t j = 0; j < plain.zeta.size(); ++j) {
    EXPECT_NEAR(made.layer.grid.zeta[static_cast<std::int64_t>(j)].item<double>(), plain.zeta[j],
                1e-9 * std::abs(plain.zeta[j]))
        << name;
  }
}

// A few rounds: how many are kept once they are almost alike is decided by rounding noise.
class ZFoldPlain : public ::testing::TestWithParam<PlainOptions> {};

TEST_P(ZFoldPlain, the_method_does_what_a_plain_implementation_does) {
  const PlainOptions& plain = GetParam();
  const std::unique_ptr<models::Network> network = small_network("opt");
  const std::vector<quant::LayerMoments> moments = moments_of(*network);
  const auto made = quantize_layers(*network, moments,
                                    {.bits = plain.bits,
                                     .zfold_rounds = plain.rounds,
                                     .hessian = plain.hessian,
                                     .act_order = plain.act_order});
  std::vector<PlainLayer> layers;
  for (const quant::LayerMoments& each : moments) {
    layers.push_back({.weight = matrix_of(network->parameters().at(each.layer.name + ".weight"))});
  }
  // q, k, v | out_proj | fc1 | fc2
  ASSERT_EQ(layers.size(), 6U);
  const auto with = [&](std::size_t i) { return PlainZFold(matrix_of(moments[i].column), plain); };
  with(0).fold({&layers[0], &layers[1], &layers[2]});
  for (std::size_t i = 3; i < 6; ++i) with(i).fold({&layers[i]});
  for (std::size_t i = 0; i < 6; ++i) {
    expect_is_plain(made.at(moments[i].layer.name), layers[i], moments[i].layer.name);
  }
}

INSTANTIATE_TEST_SUITE_P(Options, ZFoldPlain,
                         ::testing::Values(PlainOptions{.bits = 3, .rounds = 1},
                                           PlainOptions{.bits = 2, .rounds = 4},
                                           PlainOptions{.bits = 4, .rounds = 3, .act_order = true},
                                           PlainOptions{.bits = 3, .rounds = 3, .hessian = false}));

TEST(ZFoldLayers, layers_without_a_zeta_are_searched_and_rounded_as_a_plain_implementation_does) {
  const std::unique_ptr<models::Network> network = small_network("llama");
  const std::vector<quant::LayerMoments> moments = moments_of(*network);
  const auto made = quantize_layers(*network, moments, {.bits = 3});
  int compared = 0;
  for (const quant::LayerMoments& each : moments) {
    const quant::LayerResult& result = made.at(each.layer.name);
    if (result.layer.grid.zeta.defined()) continue;
    PlainLayer plain{.weight = matrix_of(network->parameters().at(each.layer.name + ".weight"))};
    PlainZFold(matrix_of(each.column), {.bits = 3}).without_zeta(plain);
    expect_is_plain(result, plain, each.layer.name);
    ++compared;
  }
  EXPECT_EQ(compared, 3);  // o_proj, gate, up
}

TEST(ZFoldLayers, zeta_is_where_it_can_be_folded) {
  using ::testing::UnorderedElementsAre;
  EXPECT_THAT(layers_with_zeta(*small_network("opt")),
              UnorderedElementsAre("q_proj", "k_proj", "v_proj", "out_proj", "fc1", "fc2"));
  // The heads share values, and gate and up stand behind one norm.
  EXPECT_THAT(layers_with_zeta(*small_network("llama")),
              UnorderedElementsAre("q_proj", "k_proj", "v_proj", "down_proj"));
}

TEST(ZFoldLayers, q_k_and_v_share_a_zeta) {
  const std::unique_ptr<models::Network> network = small_network("opt");
  const auto made = quantize_layers(*network, moments_of(*network), {.bits = 3});
  const std::string attention = "model.decoder.layers.0.self_attn.";
  const at::Tensor zeta = made.at(attention + "q_proj").layer.grid.zeta;
  EXPECT_TRUE(zeta.equal(made.at(attention + "k_proj").layer.grid.zeta));
  EXPECT_TRUE(zeta.equal(made.at(attention + "v_proj").layer.grid.zeta));
  EXPECT_FALSE(zeta.equal(made.at("model.decoder.layers.0.fc1").layer.grid.zeta));
  EXPECT_GT((zeta - 1).abs().max().item<double>(), 1e-3);
}

TEST(ZFoldLayers, the_loss_is_half_the_quadratic_form_of_what_was_made) {
  const std::unique_ptr<models::Network> network = small_network("opt");
  const std::vector<quant::LayerMoments> moments = moments_of(*network);
  for (const auto& [name, result] :
       quantize_layers(*network, moments, {.bits = 3, .act_order = true})) {
    const auto each =
        std::find_if(moments.begin(), moments.end(),
                     [&, &wanted = name](const auto& m) { return m.layer.name == wanted; });
    at::Tensor damped = each->column.clone(), weight = network->parameters().at(name + ".weight");
    damped[2][2] = 1;
    damped.diagonal().add_(0.01 * damped.diagonal().mean());
    weight = weight.clone();
    weight.select(1, 2).zero_();
    const at::Tensor delta = result.weight - weight;
    EXPECT_NEAR(result.loss / ((at::matmul(delta, damped) * delta).sum().item<double>() / 2), 1,
                1e-9)
        << name;
  }
}

TEST(ZFoldLayers, with_zeta_forced_to_one_it_is_gptq_on_the_searched_grid) {
  for (const bool act_order : {false, true}) {
    for (const bool symmetric : {false, true}) {
      const std::unique_ptr<models::Network> network = small_network("opt");
      const std::vector<quant::LayerMoments> moments = moments_of(*network);
      const auto made = quantize_layers(
          *network, moments,
          {.bits = 3, .symmetric = symmetric, .zfold = false, .act_order = act_order});
      for (const quant::LayerMoments& each : moments) {
        const std::string& name = each.layer.name;
        const quant::LayerResult gptq =
            gptq::quantize_layer(network->parameters().at(name + ".weight"), each.column,
                                 {.bits = 3,
                                  .grid = quant::RangeSearch::kHessian,
                                  .symmetric = symmetric,
                                  .act_order = act_order},
                                 name);
        EXPECT_TRUE(made.at(name).layer.code.equal(gptq.layer.code)) << name;
        EXPECT_TRUE(made.at(name).weight.equal(gptq.weight)) << name;
      }
    }
  }
}

}  // namespace
}  // namespace assay::zfold
