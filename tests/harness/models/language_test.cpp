#include <ATen/ATen.h>
#include <c10/core/GradMode.h>
#include <c10/core/InferenceMode.h>
#include <gtest/gtest.h>

#include <cmath>

#include "harness/base/error.h"
#include "harness/models/rotary.h"
#include "tests/harness/models/network_cases.h"

namespace assay::models {
namespace {

Json llama_configuration() {
  return {{"model_type", "llama"},    {"vocab_size", 40},
          {"hidden_size", 24},        {"intermediate_size", 20},
          {"num_hidden_layers", 2},   {"num_attention_heads", 6},
          {"num_key_value_heads", 2}, {"max_position_embeddings", 32}};
}

Json opt_configuration() {
  return {{"model_type", "opt"},
          {"vocab_size", 40},
          {"hidden_size", 24},
          {"ffn_dim", 20},
          {"num_hidden_layers", 2},
          {"num_attention_heads", 6},
          {"max_position_embeddings", 32}};
}

Json rotated(Json configuration) {
  configuration.update({{"rotated", true}, {"tie_word_embeddings", false}});
  return configuration;
}

class Language : public ::testing::Test {
 protected:
  static std::vector<std::unique_ptr<Network>> all(at::ScalarType dtype) {
    std::vector<std::unique_ptr<Network>> list;
    list.push_back(make_network("llama", llama_configuration()));
    list.push_back(make_network("opt", opt_configuration()));
    list.push_back(make_network("llama", rotated(llama_configuration())));
    list.push_back(make_network("opt", rotated(opt_configuration())));
    for (const auto& network : list) hash_fill(*network, dtype);
    return list;
  }

  static at::Tensor tokens() { return (at::arange(2 * 17) * 7).remainder(40).reshape({2, 17}); }
};

TEST_F(Language, logits_have_one_row_a_token) {
  for (const auto& network : all(at::kFloat)) {
    EXPECT_EQ(network->forward(tokens()).sizes().vec(), (std::vector<std::int64_t>{2, 17, 40}));
    EXPECT_EQ(network->info().context, 32);
    EXPECT_EQ(network->info().task, Task::kLanguage);
  }
}

TEST_F(Language, fused_and_explicit_attention_agree_and_taps_fire_in_order) {
  const c10::NoGradGuard no_grad;
  for (const auto& network : all(at::kDouble)) {
    Recorder recorder;
    EXPECT_TRUE(
        at::allclose(network->forward(tokens()), network->forward(tokens(), recorder), 1e-9, 1e-9));
    expect_sites(*network, recorder);
  }
}

TEST_F(Language, no_attention_goes_to_the_future) {
  for (const auto& network : all(at::kFloat)) {
    Recorder recorder;
    network->forward(tokens(), recorder);
    const at::Tensor p = recorder.values.at("blocks.1.attn.probabilities");
    EXPECT_EQ(p.sizes().vec(), (std::vector<std::int64_t>{2, 6, 17, 17}));
    EXPECT_EQ(p.triu(1).abs().max().item<float>(), 0.0F);
    EXPECT_TRUE(at::allclose(p.sum(-1), at::ones({2, 6, 17})));
  }
}

TEST_F(Language, a_token_changes_no_logit_before_it) {
  for (const auto& network : all(at::kDouble)) {
    at::Tensor other = tokens();
    other[0][9] = 3;
    const at::Tensor a = network->forward(tokens());
    const at::Tensor b = network->forward(other);
    EXPECT_TRUE(at::allclose(a[0].narrow(0, 0, 9), b[0].narrow(0, 0, 9)));
    EXPECT_FALSE(at::allclose(a[0][9], b[0][9]));
  }
}

TEST_F(Language, the_head_works_on_a_slice) {
  for (const auto& network : all(at::kDouble)) {
    Tap nothing;
    at::Tensor hidden = network->embed(tokens(), nothing);
    for (std::int64_t i = 0; i < network->unit_count(); ++i)
      hidden = network->unit(i, hidden, nothing);
    EXPECT_TRUE(at::allclose(network->head(hidden.narrow(1, 16, 1), nothing),
                             network->forward(tokens()).narrow(1, 16, 1)));
  }
}

TEST_F(Language, gradients_reach_every_parameter) {
  for (const auto& network : all(at::kDouble)) {
    for (const auto& item : network->parameters().slots()) item.second->set_requires_grad(true);
    network->forward(tokens()).square().sum().backward();
    for (const auto& [name, slot] : network->parameters().slots())
      EXPECT_TRUE(slot->grad().defined()) << name;
  }
}

TEST_F(Language, gradients_work_after_a_pass_in_inference_mode) {
  for (const auto& network : all(at::kDouble)) {
    {
      const c10::InferenceMode inference;
      network->forward(tokens());
    }
    for (const auto& item : network->parameters().slots()) item.second->set_requires_grad(true);
    EXPECT_NO_THROW(network->forward(tokens()).square().sum().backward());
  }
}

TEST_F(Language, gradient_mode_and_inference_give_the_same_logits) {
  for (const auto& network : all(at::kDouble)) {
    const at::Tensor graded = network->forward(tokens());
    const c10::NoGradGuard no_grad;
    EXPECT_TRUE(at::allclose(graded, network->forward(tokens()), 1e-12, 1e-12));
  }
}

TEST_F(Language, sequences_beyond_the_context_and_other_types_are_refused) {
  for (const auto& network : all(at::kFloat)) {
    EXPECT_THROW(network->forward(at::zeros({1, 33}, at::kLong)), Error);
    EXPECT_THROW(network->forward(at::zeros({1, 3})), Error);
    EXPECT_THROW(network->forward(at::zeros({3}, at::kLong)), Error);
  }
}

TEST_F(Language, half_precision_runs_close_to_float) {
  const c10::NoGradGuard no_grad;
  for (const auto& network : all(at::kFloat)) {
    const at::Tensor exact = network->forward(tokens());
    network->to(at::kBFloat16);
    const at::Tensor rough = network->forward(tokens()).to(at::kFloat);
    EXPECT_LT(((rough - exact).norm() / exact.norm()).item<double>(), 0.05);
  }
}

TEST_F(Language, a_rotated_network_has_a_head_of_its_own_and_sizes_that_can_be_rotated) {
  EXPECT_EQ(make_network("opt", rotated(opt_configuration()))
                ->parameters()
                .at("lm_head.bias")
                .sizes()
                .vec(),
            (std::vector<std::int64_t>{40}));
  for (const auto& [family, configuration] :
       {std::pair<const char*, Json>{"llama", llama_configuration()},
        {"opt", opt_configuration()}}) {
    Json tied = rotated(configuration);
    tied["tie_word_embeddings"] = true;
    EXPECT_THROW(make_network(family, tied), Error);
    Json wide = rotated(configuration);
    wide[std::string(family) == "opt" ? "ffn_dim" : "intermediate_size"] = 22;
    EXPECT_THROW(make_network(family, wide), Error);
  }
}

// Of what rotations come between, no channel can be scaled.
TEST_F(Language, a_rotated_network_scales_channels_behind_norms_only) {
  for (const auto& network : all(at::kDouble)) {
    if (!network->attention_parts(0)->rotation) continue;
    const at::Tensor before = network->forward(tokens());
    EXPECT_EQ(network->scale_groups().size(), 4U);
    for (const ScaleGroup& group : network->scale_groups()) {
      EXPECT_TRUE(group.after_norm);
      const at::Tensor s = hash_values(group.layers.front(), {24}).abs() + 0.5;
      for (const std::string& layer : group.layers) {
        at::Tensor& weight = network->parameters().at(layer + ".weight");
        weight = weight * s;
      }
      for (const std::string& name : group.producers) {
        network->parameters().at(name).div_(s);
      }
    }
    EXPECT_TRUE(at::allclose(network->forward(tokens()), before, 1e-10, 1e-10));
  }
}

TEST(RotaryEmbedding, scores_depend_on_distance_only) {
  const Rotary rotary(8, 10000.0, nullptr);
  const at::Tensor q = hash_values("q", {8}).expand({1, 12, 1, 8});
  const at::Tensor k = hash_values("k", {8}).expand({1, 12, 1, 8});
  const at::Tensor a = rotary(q).squeeze();
  const at::Tensor b = rotary(k).squeeze();
  EXPECT_NEAR(a[3].dot(b[1]).item<double>(), a[11].dot(b[9]).item<double>(), 1e-12);
  EXPECT_TRUE(at::allclose(a[0], q[0][0][0]));
}

TEST(RotaryEmbedding, half_split_equals_interleaved_after_permuting_channels) {
  const Rotary rotary(6, 100.0, nullptr);
  const at::Tensor pairs = hash_values("x", {1, 5, 1, 6});  // channels (2j, 2j + 1) turn together
  const at::Tensor order = at::tensor({0, 2, 4, 1, 3, 5});
  const at::Tensor turned = rotary(pairs.index_select(3, order));
  for (std::int64_t t = 0; t < 5; ++t)
    for (std::int64_t j = 0; j < 3; ++j) {
      const double angle =
          static_cast<double>(t) * std::pow(100.0, -2.0 * static_cast<double>(j) / 6);
      const double x = pairs[0][t][0][2 * j].item<double>();
      const double y = pairs[0][t][0][2 * j + 1].item<double>();
      EXPECT_NEAR(turned[0][t][0][j].item<double>(), x * std::cos(angle) - y * std::sin(angle),
                  1e-12);
      EXPECT_NEAR(turned[0][t][0][j + 3].item<double>(), y * std::cos(angle) + x * std::sin(angle),
                  1e-12);
    }
}

TEST(RotaryEmbedding, scaling_is_honoured_or_refused) {
  const Rotary plain(64, 500000.0, nullptr);
  const Rotary linear(64, 500000.0, {{"type", "linear"}, {"factor", 4.0}});
  const Rotary llama3(64, 500000.0,
                      {{"rope_type", "llama3"},
                       {"factor", 8.0},
                       {"low_freq_factor", 1.0},
                       {"high_freq_factor", 4.0},
                       {"original_max_position_embeddings", 8192}});
  EXPECT_DOUBLE_EQ(linear.frequencies()[5], plain.frequencies()[5] / 4);
  EXPECT_DOUBLE_EQ(llama3.frequencies()[0], plain.frequencies()[0]);
  EXPECT_DOUBLE_EQ(llama3.frequencies()[31], plain.frequencies()[31] / 8);
  // Wavelength 2 pi / f between 2048 and 8192: interpolated.
  for (std::size_t j = 0; j < 32; ++j) {
    const double wavelength = 2 * 3.14159265358979323846 / plain.frequencies()[j];
    if (wavelength < 2048 || wavelength > 8192) continue;
    EXPECT_LT(llama3.frequencies()[j], plain.frequencies()[j]);
    EXPECT_GT(llama3.frequencies()[j], plain.frequencies()[j] / 8);
  }
  EXPECT_THROW(Rotary(8, 1e4, {{"type", "yarn"}, {"factor", 2.0}}), Error);
  EXPECT_THROW(Rotary(8, 1e4, {{"type", "linear"}}), Error);
  EXPECT_THROW(Rotary(8, 1e4, {{"type", "linear"}, {"factor", -1}}), Error);
  EXPECT_THROW(Rotary(8, 1e4, 3), Error);
}

}  // namespace
}  // namespace assay::models
