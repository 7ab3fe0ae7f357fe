#include <ATen/ATen.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <memory>
#include <set>
#include <string>
#include <tuple>
#include <vector>

#include "methods/awq/clip_search.h"
#include "methods/awq/scale_search.h"
#include "methods/awq/unit_quantizer.h"
#include "methods/quant/unit_layers.h"
#include "tests/methods/awq/plain_awq.h"
#include "tests/methods/support/small_networks.h"
#include "tests/support/refusal.h"

namespace assay::awq {
namespace {

quant::SequentialOptions float_inputs() { return {.propagate = quant::Propagation::kFloat}; }

quant::BlockWalkResult quantized(models::Network& network, const at::Tensor& tokens,
                                 const Options& options) {
  return quant::quantize_blocks(network, tokens, unit_quantizer(network, options),
                                {.method = "awq", .sequential = float_inputs()});
}

// Hands the first unit of a network, which stays float, to `look`.
void at_first_unit(const models::Network& network, const at::Tensor& tokens,
                   const std::function<void(const quant::UnitInputs&)>& look) {
  quant::quantize_sequentially(network, tokens, float_inputs(),
                               {.quantize_unit = [&](const quant::UnitInputs& inputs) {
                                 if (inputs.unit == 0) look(inputs);
                               }});
}

std::set<std::string> all_sites(const models::Network& network) {
  std::set<std::string> sites;
  for (const models::Layer& layer : quant::layers_of(network, 0)) sites.insert(layer.input_site);
  return sites;
}

InputStatistics statistics_of(const models::Network& network, const at::Tensor& tokens) {
  InputStatistics statistics;
  at_first_unit(network, tokens, [&](const quant::UnitInputs& inputs) {
    statistics = input_statistics(network, inputs, all_sites(network));
  });
  return statistics;
}

std::vector<ScaleChoice> choices_of(const models::Network& network, const at::Tensor& tokens,
                                    const InputStatistics& statistics, const Options& options) {
  std::vector<ScaleChoice> choices;
  at_first_unit(network, tokens, [&](const quant::UnitInputs& inputs) {
    for (const models::ScaleGroup& group : quant::scale_groups_of(network, 0)) {
      choices.push_back(search_scales(network, inputs, group, statistics, options));
    }
  });
  return choices;
}

at::Tensor weight_of(const models::Network& network, const std::string& layer) {
  return network.parameters().at(layer + ".weight");
}

struct Small {
  const char* family;
  std::int64_t kv_heads;
};

class AwqSearch : public ::testing::TestWithParam<Small> {
 protected:
  std::unique_ptr<models::Network> network() const {
    return small_network(GetParam().family, GetParam().kv_heads);
  }
};

INSTANTIATE_TEST_SUITE_P(Families, AwqSearch,
                         ::testing::Values(Small{"opt", 2}, Small{"llama", 2}, Small{"llama", 1}),
                         [](const auto& each) {
                           return std::string(each.param.family) +
                                  std::to_string(each.param.kv_heads);
                         });

// The second case has a short last group and more tokens than the clip search looks at.
TEST_P(AwqSearch, agrees_with_a_plain_implementation) {
  for (const auto& [bits, group, rows] :
       {std::tuple{3, -1, 11}, std::tuple{2, 10, 90}, std::tuple{4, 8, 11}}) {
    const at::Tensor tokens = small_tokens(rows);
    const Options options{.bits = bits, .group = group};
    const std::unique_ptr<models::Network> plain = network(), made = network();
    const quant::BlockWalkResult result = quantized(*made, tokens, options);
    const PlainResult expected = PlainAwq(*plain, options, result.model.channel_scales)(tokens);
    ASSERT_EQ(result.model.channel_scales.size(), expected.scales.size());
    for (const auto& [layer, scales] : expected.scales) {
      EXPECT_TRUE(result.model.channel_scales.at(layer).allclose(scales, 1e-10, 0)) << layer;
    }
    ASSERT_EQ(result.model.layers.size(), expected.layers.size());
    for (const auto& [layer, each] : expected.layers) {
      const quant::QuantizedLayer& found = result.model.layers.at(layer);
      EXPECT_TRUE(found.code.to(at::kLong).reshape({-1}).equal(at::tensor(each.codes, at::kLong)))
          << layer;
      EXPECT_TRUE(quant::decode(found.code, found.grid).allclose(each.value, 1e-10, 1e-12));
    }
  }
}

TEST_P(AwqSearch, errors_of_all_ratios_are_those_of_recorded_inputs) {
  const at::Tensor tokens = small_tokens(11);
  const Options options{.bits = 3, .group = 8};
  const std::unique_ptr<models::Network> net = network();
  const PlainResult expected = PlainAwq(*net, options)(tokens);
  const std::vector<ScaleChoice> choices =
      choices_of(*net, tokens, statistics_of(*net, tokens), options);
  const std::vector<models::ScaleGroup> groups = quant::scale_groups_of(*net, 0);
  ASSERT_EQ(choices.size(), groups.size());
  int above_zero = 0;
  for (std::size_t i = 0; i < groups.size(); ++i) {
    const std::vector<double>& errors = expected.errors.at(groups[i].layers.front());
    ASSERT_EQ(choices[i].errors.size(), errors.size());
    for (std::size_t j = 0; j < errors.size(); ++j) {
      EXPECT_NEAR(choices[i].errors[j], errors[j], 1e-9 * errors[j]) << i << " " << j;
    }
    const auto least = std::min_element(errors.begin(), errors.end());
    EXPECT_LE(*least, errors.front());
    above_zero += least != errors.begin() ? 1 : 0;
  }
  EXPECT_GT(above_zero, 1);  // scaling helps on such activations
}

TEST_P(AwqSearch, scaling_leaves_the_float_network_as_it_is) {
  const at::Tensor tokens = small_tokens(11);
  const std::unique_ptr<models::Network> before = network(), scaled = network(), made = network();
  const quant::BlockWalkResult result = quantized(*made, tokens, {.bits = 3, .group = 8});
  double farthest = 0;
  for (const auto& [layer, factors] : result.model.channel_scales) {
    farthest = std::max(farthest, (factors - 1).abs().max().item<double>());
  }
  EXPECT_GT(farthest, 0.5);
  quant::apply({.method = "awq", .channel_scales = result.model.channel_scales}, *scaled);
  EXPECT_TRUE(scaled->forward(tokens).allclose(before->forward(tokens), 1e-9, 1e-10));
}

TEST_P(AwqSearch, ratio_0_alone_is_round_to_nearest_on_the_free_grid) {
  const at::Tensor tokens = small_tokens(9);
  const std::unique_ptr<models::Network> net = network(), made = network();
  const Options options{.bits = 3, .group = 8, .ratios = 1, .clip = false};
  const quant::BlockWalkResult result = quantized(*made, tokens, options);
  EXPECT_FALSE(result.model.channel_scales.empty());
  for (const auto& [layer, factors] : result.model.channel_scales) {
    EXPECT_TRUE(factors.equal(at::ones_like(factors))) << layer;
  }
  for (const models::Layer& layer : net->layers()) {
    const at::Tensor weight = weight_of(*net, layer.name);
    const quant::Grid grid = quant::find_grid(weight, grid_of(options));
    EXPECT_TRUE(
        result.model.layers.at(layer.name).code.equal(quant::quantized_layer(weight, grid).code));
  }
}

TEST_P(AwqSearch, statistics_of_nothing_change_what_is_chosen) {
  const at::Tensor tokens = small_tokens(11);
  const std::unique_ptr<models::Network> net = network();
  const Options options{.bits = 3, .group = 8};
  const InputStatistics statistics = statistics_of(*net, tokens);
  InputStatistics no_sizes = statistics;
  for (auto& [site, sizes] : no_sizes.mean_sizes) sizes = at::zeros_like(sizes);
  const std::vector<ScaleChoice> real = choices_of(*net, tokens, statistics, options);
  const std::vector<ScaleChoice> zeroed = choices_of(*net, tokens, no_sizes, options);
  int moved = 0;
  for (std::size_t i = 0; i < real.size(); ++i) {
    EXPECT_TRUE(zeroed[i].factors.equal(at::ones_like(zeroed[i].factors)));
    moved += real[i].factors.equal(zeroed[i].factors) ? 0 : 1;
  }
  EXPECT_GT(moved, 1);
  const models::Layer last = quant::layers_of(*net, 0).back();
  const at::Tensor weight = weight_of(*net, last.name);
  const at::Tensor moments = statistics.sampled.at(last.input_site);
  EXPECT_FALSE(clipped(weight, moments, options).equal(weight));
  EXPECT_TRUE(clipped(weight, at::zeros_like(moments), options).equal(weight));
}

TEST_P(AwqSearch, the_network_and_its_artifact_are_the_same_twice) {
  const at::Tensor tokens = small_tokens(11);
  const Options options{.bits = 3, .group = 8};
  const std::unique_ptr<models::Network> first = network(), second = network(), loaded = network();
  const quant::BlockWalkResult a = quantized(*first, tokens, options);
  const quant::BlockWalkResult b = quantized(*second, tokens, options);
  for (const auto& [name, layer] : a.model.layers) {
    EXPECT_TRUE(layer.code.equal(b.model.layers.at(name).code)) << name;
  }
  quant::apply(a.model, *loaded);
  EXPECT_TRUE(loaded->forward(tokens).equal(first->forward(tokens)));
  EXPECT_FALSE(loaded->forward(tokens).equal(network()->forward(tokens)));
}

TEST(AwqScales, are_powers_of_the_mean_size_around_1) {
  const at::Tensor sizes = at::tensor({4.0, 1.0, 0.25, 0.0}, at::kDouble);
  EXPECT_TRUE(channel_scales(sizes, 0).equal(at::ones({4}, at::kDouble)));
  // max 2, min 1e-4: divided by sqrt(2e-4).
  const at::Tensor half = at::tensor({2.0, 1.0, 0.5, 1e-4}, at::kDouble) / std::sqrt(2e-4);
  EXPECT_TRUE(channel_scales(sizes, 0.5).allclose(half, 1e-14, 0));
}

TEST(AwqScales, weights_whose_errors_are_not_finite_are_refused) {
  const std::unique_ptr<models::Network> network = small_network("opt");
  const at::Tensor tokens = small_tokens(8);
  InputStatistics statistics = statistics_of(*network, tokens);
  for (auto& [site, moments] : statistics.moments) moments = moments * NAN;
  EXPECT_THAT(
      assay::testing::refusal([&] { choices_of(*network, tokens, statistics, {.bits = 3}); }),
      ::testing::HasSubstr("method: layer 'model.decoder.layers.0.self_attn.out_proj'"));
}

TEST(AwqScales, float_weights_come_back_when_a_search_is_stopped) {
  const std::unique_ptr<models::Network> network = small_network("opt");
  const std::string q = "model.decoder.layers.0.self_attn.q_proj";
  const at::Tensor before = weight_of(*network, q);
  const at::Tensor tokens = small_tokens(20);
  const InputStatistics statistics = statistics_of(*network, tokens);
  int calls = 0;
  const quant::SequentialHooks hooks{.quantize_unit = [&](const quant::UnitInputs& inputs) {
    quant::UnitInputs stopped{.unit = inputs.unit,
                              .chunks = inputs.chunks,
                              .hidden = inputs.hidden,
                              .own = inputs.own,
                              .between_chunks = [&] {
                                if (++calls == 5) throw Error(ErrorKind::kLost, "stopped");
                              }};
    search_scales(*network, stopped, quant::scale_groups_of(*network, 0)[0], statistics,
                  {.bits = 3});
  }};
  EXPECT_THAT(assay::testing::refusal(
                  [&] { quant::quantize_sequentially(*network, tokens, float_inputs(), hooks); }),
              ::testing::HasSubstr("lost: stopped"));
  EXPECT_EQ(calls, 5);
  EXPECT_TRUE(weight_of(*network, q).is_same(before));
}

TEST(AwqClip, what_is_scored_is_what_decodes_and_never_worse_than_no_limit) {
  at::manual_seed(8);
  const at::Tensor weight = at::randn({7, 20}, at::kFloat);
  const at::Tensor x = at::randn({90, 20}, at::kFloat);
  const at::Tensor moments = at::matmul(x.t(), x);
  const Options options{.bits = 3, .group = 8};
  const at::Tensor limited = clipped(weight, moments, options);
  EXPECT_FALSE(limited.equal(weight));
  const auto decoded = [&](const at::Tensor& of) {
    const quant::QuantizedLayer layer =
        quant::quantized_layer(of, quant::find_grid(of, grid_of(options)));
    return quant::decode(layer.code, layer.grid);
  };
  const at::Tensor made = decoded(limited), plain = decoded(weight);
  Options whole = options;
  whole.group = -1;
  for (std::int64_t begin = 0; begin < 20; begin += 8) {
    const std::int64_t width = std::min<std::int64_t>(8, 20 - begin);
    const auto part = [&](const at::Tensor& of) { return of.narrow(1, begin, width); };
    EXPECT_TRUE(part(made).equal(
        quant::fake_quantize(part(limited), quant::find_grid(part(limited), grid_of(whole)))));
    const at::Tensor block = part(moments.narrow(0, begin, width));
    const auto errors = [&](const at::Tensor& values) {
      const at::Tensor delta = part(values) - part(weight);
      return (at::matmul(delta, block) * delta).sum(1);
    };
    EXPECT_TRUE((errors(made) <= errors(plain)).all().item<bool>());
  }
}

TEST(AwqStatistics, every_nth_token_is_sampled_whatever_the_chunks) {
  const std::unique_ptr<models::Network> network = small_network("opt");
  const at::Tensor tokens = small_tokens(131);  // 1,572 tokens: every third, chunks of 96
  const InputStatistics statistics = statistics_of(*network, tokens);
  models::Untapped none;
  at::Tensor seen;
  struct Inputs : models::Tap {
    at::Tensor value;
    at::Tensor operator()(std::string_view site, const at::Tensor& x) override {
      if (site == "blocks.0.mlp.fc1.in") value = x.reshape({-1, x.size(-1)}).clone();
      return x;
    }
  } inputs;
  network->unit(0, network->embed(tokens, none), inputs);
  const auto moments_of = [](const at::Tensor& x) {
    return at::matmul(x.t(), x) * (2.0 / static_cast<double>(x.size(0)));
  };
  const std::string site = "blocks.0.mlp.fc1.in";
  EXPECT_TRUE(statistics.moments.at(site).allclose(moments_of(inputs.value), 1e-10, 1e-12));
  EXPECT_TRUE(statistics.sampled.at(site).allclose(
      moments_of(inputs.value.slice(0, 0, inputs.value.size(0), 3)), 1e-10, 1e-12));
  EXPECT_FALSE(statistics.sampled.at(site).allclose(statistics.moments.at(site), 1e-3));
  EXPECT_TRUE(statistics.mean_sizes.at(site).allclose(inputs.value.abs().mean(0), 1e-10, 1e-12));
}

}  // namespace
}  // namespace assay::awq
