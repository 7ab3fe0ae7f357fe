#include "methods/quant/quantized_parts.h"

#include <ATen/ATen.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "methods/quant/grid_search.h"
#include "tests/methods/support/chain_network.h"

namespace assay::quant {
namespace {

using models::ChainNetwork;

QuantizedModel rounded(const ChainNetwork& network, const std::vector<int>& units,
                       const GridOptions& options) {
  QuantizedModel model{.method = "test"};
  for (const int unit : units) {
    const std::string name = ChainNetwork::name(unit);
    const at::Tensor& weight = network.parameters().at(name + ".weight");
    model.layers[name] = quantized_layer(weight, find_grid(weight, options));
  }
  return model;
}

TEST(QuantizedParts, bits_per_weight_counts_scales_zero_points_and_layers_that_stay_float) {
  const ChainNetwork network(3, 40, at::kFloat);
  const Json all = quantization_result(network, {}, rounded(network, {0, 1, 2}, {.bits = 4}));
  EXPECT_DOUBLE_EQ(all["metrics"]["bits_per_weight"], 4 + 20 / 40.0);
  EXPECT_EQ(all["metrics"]["float_layers"], 0);
  EXPECT_EQ(all["metrics"]["weight_bytes"], 3 * (1600 * 4 + 40 * 20) / 8);
  const Json two = quantization_result(network, {}, rounded(network, {0, 2}, {.bits = 4}));
  EXPECT_DOUBLE_EQ(two["metrics"]["bits_per_weight"], (2 * 4.5 + 16) / 3);
  EXPECT_EQ(two["metrics"]["float_layers"], 1);
  EXPECT_EQ(two["quantization"]["weights"]["float_layers"], Json::array({"units.1.linear"}));
  EXPECT_EQ(two["metrics"]["weight_bytes"], 2 * (1600 * 4 + 40 * 20) / 8 + 2 * 1600);
}

TEST(QuantizedParts, a_symmetric_grid_stores_no_zero_points) {
  const ChainNetwork network(1, 32, at::kFloat);
  const Json groups = quantization_result(
      network, {},
      rounded(network, {0},
              {.bits = 4, .granularity = Granularity::kGroup, .group = 32, .symmetric = true}));
  EXPECT_DOUBLE_EQ(groups["metrics"]["bits_per_weight"], 4.5);
}

TEST(QuantizedParts, a_network_that_stays_float_has_16_bits_and_no_protocol) {
  const ChainNetwork network(2, 8, at::kFloat);
  const Json result = quantization_result(network, {}, {.method = "test"});
  EXPECT_EQ(result["metrics"]["bits_per_weight"], 16.0);
  EXPECT_EQ(result["metrics"]["weight_bytes"], 2 * 64 * 2);
  EXPECT_EQ(result["metrics"]["float_layers"], 2);
  EXPECT_EQ(result["quantization"], Json::parse(R"({"weights": null, "activations": null})"));
}

TEST(QuantizedParts, of_two_methods_each_layer_and_site_counts_as_it_was_left) {
  const ChainNetwork network(3, 40, at::kFloat);
  QuantizedParts before;
  QuantizedModel first = rounded(network, {0, 1}, {.bits = 8});
  first.activations["units.0.linear.in"] = {.order = RoundingOrder::kZeroThenRound};
  before.add(first);
  const Json both = quantization_result(network, before, rounded(network, {1, 2}, {.bits = 2}));
  EXPECT_NEAR(both["metrics"]["bits_per_weight"].get<double>(),
              (8 + 24 / 40.0 + 2 * (2 + 18 / 40.0)) / 3, 1e-12);
  EXPECT_EQ(both["metrics"]["float_layers"], 0);
  EXPECT_EQ(both["metrics"]["quantized_layers"], 2);  // by the stage itself
  EXPECT_EQ(both["quantization"]["weights"]["layers"], 3);
  EXPECT_EQ(both["quantization"]["activations"]["sites"], 1);
  EXPECT_EQ(both["quantization"]["activations"]["rounding"], Json::array({"round(x/s + z)"}));
}

TEST(QuantizedParts, every_tensor_stands_in_the_ledger_as_it_was_left) {
  const ChainNetwork network(3, 64, at::kFloat);
  QuantizedParts before;
  before.add(rounded(network, {0}, {.bits = 8}));
  QuantizedModel made =
      rounded(network, {1}, {.bits = 4, .granularity = Granularity::kGroup, .group = 32});
  made.parameters["units.2.linear.weight"] = at::ones({64, 64});
  const Json tensors = quantization_result(network, before, made)["tensors"];
  EXPECT_EQ(tensors, Json::parse(R"([
      {"name": "units.0.linear.weight", "shape": [64, 64], "state": "quantized", "bits": 8.375,
       "as": "test: 8 bits, a scale per row"},
      {"name": "units.1.linear.weight", "shape": [64, 64], "state": "quantized", "bits": 4.625,
       "as": "test: 4 bits, groups of 32"},
      {"name": "units.2.linear.weight", "shape": [64, 64], "state": "float", "bits": 16,
       "as": "float layer, replaced by test"}])"));
}

TEST(QuantizedParts, what_two_methods_round_has_a_note) {
  const ChainNetwork network(3, 40, at::kFloat);
  const auto made = [&](const std::vector<int>& units, const char* site) {
    QuantizedModel model = rounded(network, units, {.bits = 8});
    model.activations[site] = {};
    return model;
  };
  QuantizedParts before;
  before.add(made({0, 1}, "a"));
  const auto note = [&](const QuantizedModel& model) {
    return quantization_result(network, before, model).value("note", std::string());
  };
  EXPECT_EQ(note(made({2}, "b")), "");
  EXPECT_THAT(note({.method = "test"}), ::testing::StartsWith("test rounds nothing"));
  EXPECT_EQ(note({.method = "test", .channel_scales = {{"layer", at::ones({2})}}}), "")
      << "it scales channels";
  EXPECT_THAT(note(made({1, 2}, "b")),
              ::testing::StartsWith("test rounds the weights of 1 layers"));
  EXPECT_THAT(note(made({2}, "a")),
              ::testing::StartsWith("test rounds the activations of 1 sites"));
  EXPECT_THAT(note(made({0}, "a")),
              ::testing::AllOf(::testing::HasSubstr("the weights of 1 layers"),
                               ::testing::HasSubstr("activations of 1 sites")));
}

TEST(QuantizedParts, a_site_that_two_methods_round_says_both_in_their_order) {
  const ChainNetwork network(3, 8, at::kFloat);
  QuantizedModel first{.method = "test"}, second{.method = "test"};
  first.activations["a"] = {.order = RoundingOrder::kZeroThenRound};
  second.activations["a"] = {};
  QuantizedParts before;
  before.add(first);
  EXPECT_EQ(quantization_result(network, before, second)["quantization"]["activations"]["rounding"],
            Json::array({"round(x/s + z), then round(x/s) + z"}));
}

TEST(QuantizedParts, protocols_differ_where_layers_sites_or_rounding_differ) {
  const ChainNetwork network(3, 8, at::kFloat);
  const auto weights = [&](const std::vector<int>& units, int bits) {
    return quantization_result(network, {},
                               rounded(network, units, {.bits = bits}))["quantization"]["weights"];
  };
  EXPECT_EQ(weights({0, 1}, 4), weights({0, 1}, 3));  // bits have a column of their own
  EXPECT_NE(weights({0, 1}, 4), weights({0, 2}, 4));
  const auto activations = [&](const char* site, RoundingOrder order) {
    QuantizedModel model{.method = "test"};
    model.activations[site] = {.order = order};
    return quantization_result(network, {}, model)["quantization"]["activations"];
  };
  EXPECT_NE(activations("a", RoundingOrder::kRoundThenZero),
            activations("b", RoundingOrder::kRoundThenZero));
  EXPECT_NE(activations("a", RoundingOrder::kRoundThenZero),
            activations("a", RoundingOrder::kZeroThenRound));
}

}  // namespace
}  // namespace assay::quant
