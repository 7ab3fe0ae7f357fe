#include "methods/omniquant/transformation.h"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "methods/quant/channel_ranges.h"
#include "methods/quant/replaced_parameters.h"
#include "tests/methods/support/small_networks.h"

namespace assay::omniquant {
namespace {

struct Case {
  std::string family;
  std::int64_t kv_heads;
  std::size_t groups;
};

class Transformations : public ::testing::TestWithParam<Case> {
 protected:
  at::NoGradGuard no_gradients;
  std::unique_ptr<models::Network> network = small_network(GetParam().family, GetParam().kv_heads);
  at::Tensor tokens = small_tokens(6);

  Transformation start(const TransformationStart& from) const {
    const quant::Chunk chunk = quant::chunk_of(tokens, 0, tokens.size(0));
    quant::ChannelRangeTap observer(changed_sites(*network, 0), true);
    observer.begin(&chunk);
    network->forward(tokens, observer);
    return first_transformation(*network, 0, observer.ranges(), from);
  }
  double change_of_logits(const Transformation& transformation) const {
    const at::Tensor expected = network->forward(tokens);
    const quant::ReplacedParameters replaced(
        *network, transformed(parameters_of(*network, 0), transformation));
    return ((network->forward(tokens) - expected).norm() / expected.norm()).item<double>();
  }
};

TEST_P(Transformations, change_no_logit_whatever_the_scales_and_shifts) {
  at::manual_seed(4);
  Transformation transformation = start({.shifts = true, .head_scale = true});
  ASSERT_EQ(transformation.channels.size(), GetParam().groups);
  for (ChannelChange& change : transformation.channels) {
    change.scale = at::randn_like(change.scale).exp();
    EXPECT_EQ(change.shift.defined(), GetParam().family == "opt");
    if (change.shift.defined()) change.shift = at::randn_like(change.shift);
  }
  ASSERT_TRUE(transformation.head_scale.defined());
  transformation.head_scale = at::randn_like(transformation.head_scale).exp();
  EXPECT_LT(change_of_logits(transformation), 1e-10);
  EXPECT_FALSE(transformed(parameters_of(*network, 0), transformation)
                   .at(transformation.attention->q + ".weight")
                   .allclose(network->parameters().at(transformation.attention->q + ".weight")));
}

TEST_P(Transformations, with_identity_parameters_are_nothing) {
  Transformation identity = start({.shifts = true, .head_scale = true});
  for (ChannelChange& change : identity.channels) {
    change.scale.fill_(1);
    if (change.shift.defined()) change.shift.fill_(0);
  }
  const Parameters before = parameters_of(*network, 0);
  for (const auto& [name, value] : transformed(before, identity)) {
    EXPECT_TRUE(value.equal(before.at(name))) << name;
  }
}

TEST_P(Transformations, start_at_smoothed_channels_and_at_1_between_queries_and_keys) {
  const Transformation first = start({.alpha = 0.5, .shifts = true, .head_scale = true});
  EXPECT_LT(change_of_logits(first), 1e-10);
  EXPECT_TRUE(first.head_scale.eq(1).all().item<bool>());
  const Transformation plain = start({});
  EXPECT_FALSE(plain.head_scale.defined());
  EXPECT_FALSE(plain.channels.front().shift.defined());
  // What is largest of the inputs becomes a^0.5 w^0.5, and so does what is largest of the weights.
  const ChannelChange& change = plain.channels.front();
  const Parameters moved = transformed(parameters_of(*network, 0), {.channels = {change}});
  at::Tensor weights;
  for (const std::string& layer : change.group.layers) {
    const at::Tensor largest = moved.at(layer + ".weight").abs().amax(0);
    weights = weights.defined() ? at::maximum(weights, largest) : largest;
  }
  const quant::Chunk chunk = quant::chunk_of(tokens, 0, tokens.size(0));
  quant::ChannelRangeTap observer(changed_sites(*network, 0));
  observer.begin(&chunk);
  network->forward(tokens, observer);
  const quant::ChannelRange& inputs =
      observer.ranges().find(changed_sites(*network, 0).front())->second;
  EXPECT_TRUE((inputs.largest / change.scale).allclose(weights, 1e-9));
  EXPECT_FALSE(inputs.middle.defined());
}

TEST_P(Transformations, touch_what_stands_before_and_behind_and_nothing_else) {
  const Transformation first = start({});
  const Parameters before = parameters_of(*network, 0);
  std::vector<std::string> left;
  for (const auto& [name, value] : transformed(before, first)) {
    if (value.is_same(before.at(name))) left.push_back(name);
  }
  if (GetParam().family == "opt") {
    const std::string p = "model.decoder.layers.0.";
    EXPECT_THAT(left, ::testing::UnorderedElementsAre(p + "self_attn.q_proj.bias",
                                                      p + "self_attn.k_proj.bias",
                                                      p + "self_attn.out_proj.bias", p + "fc1.bias",
                                                      p + "fc2.weight", p + "fc2.bias"));
  } else {
    EXPECT_THAT(left, ::testing::Contains("model.layers.0.mlp.down_proj.weight"));
  }
}

TEST_P(Transformations, keep_scales_away_from_0) {
  Transformation first = start({.head_scale = true});
  first.channels.front().scale.fill_(-3);
  first.head_scale.fill_(0);
  limit_scales(first);
  EXPECT_TRUE(first.channels.front().scale.eq(0.01).all().item<bool>());
  EXPECT_TRUE(first.head_scale.eq(0.01).all().item<bool>());
}

INSTANTIATE_TEST_SUITE_P(families, Transformations,
                         ::testing::Values(Case{"opt", 2, 3}, Case{"llama", 2, 3},
                                           Case{"llama", 1, 2}),
                         [](const auto& given) {
                           return given.param.family + std::to_string(given.param.kv_heads);
                         });

}  // namespace
}  // namespace assay::omniquant
