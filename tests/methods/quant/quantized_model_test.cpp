#include "methods/quant/quantized_model.h"

#include <ATen/ATen.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <fstream>

#include "harness/base/atomic_file.h"
#include "methods/quant/grid_search.h"
#include "tests/methods/support/chain_network.h"
#include "tests/support/refusal.h"
#include "tests/support/temporary_folder.h"

namespace assay::quant {
namespace {

using assay::testing::refusal;
using models::ChainNetwork;
using ::testing::HasSubstr;

QuantizedModel example(at::ScalarType type, int bits = 3) {
  const ChainNetwork network(2, 40, type);
  QuantizedModel model{.method = "rtn"};
  model.layers["units.0.linear"] =
      quantized_layer(network.parameters().at("units.0.linear.weight"),
                      find_grid(network.parameters().at("units.0.linear.weight"), {.bits = bits}));
  Grid groups = find_grid(network.parameters().at("units.1.linear.weight"),
                          {.bits = bits, .granularity = Granularity::kGroup, .group = 16});
  groups.perm = at::arange(39, -1, -1, at::kLong);
  model.layers["units.1.linear"] =
      quantized_layer(network.parameters().at("units.1.linear.weight"), groups);
  model.activations["units.0.linear.in"] = p1_quantizer({-.17, 2.83}, 8, type);
  return model;
}

TEST(QuantizedModel, weights_are_rebuilt_from_codes_exactly) {
  for (const at::ScalarType type : {at::kFloat, at::kDouble}) {
    for (const int bits : {3, 12}) {
      const TemporaryFolder folder;
      const QuantizedModel model = example(type, bits);
      ChainNetwork network(2, 40, type);
      const at::Tensor float_weight = network.parameters().at("units.1.linear.weight");
      save_quantized(folder.path(), model);
      const std::unique_ptr<models::Tap> tap = apply_quantized(network, folder.path());
      EXPECT_TRUE(network.parameters()
                      .at("units.1.linear.weight")
                      .equal(fake_quantize(float_weight, model.layers.at("units.1.linear").grid)));
      EXPECT_TRUE(tap->wants("units.0.linear.in"));
      EXPECT_EQ(load_quantized(folder.path()).activations, model.activations);
    }
  }
}

TEST(QuantizedModel, without_activation_quantizers_the_tap_changes_nothing) {
  const TemporaryFolder folder;
  QuantizedModel model = example(at::kFloat);
  model.activations.clear();
  save_quantized(folder.path(), model);
  ChainNetwork network(2, 40, at::kFloat);
  const at::Tensor x = at::rand({3});
  EXPECT_TRUE((*apply_quantized(network, folder.path()))("units.0.linear.in", x).is_same(x));
}

TEST(QuantizedModel, storage_counts_codes_scales_zeros_and_permutation) {
  const StorageCost cost = storage_cost(example(at::kFloat));
  EXPECT_EQ(cost.weights, 3200);
  EXPECT_EQ(cost.bits, 3200 * 3 + 40 * 19 + 120 * 19 + 40 * 32);
  EXPECT_NEAR(cost.bits_per_weight(), 3 + (40 * 19 + 120 * 19 + 40 * 32) / 3200.0, 1e-12);
}

TEST(QuantizedModel, zero_points_that_are_no_codes_take_32_bits) {
  const at::Tensor weight = at::tensor({1.0f, 1.25f, 1.5f, 1.75f}).reshape({1, 4});
  Grid grid{.bits = 2, .scale = at::full({1, 1}, 0.25f), .zero = at::full({1, 1}, -4.0f)};
  EXPECT_EQ(storage_cost(quantized_layer(weight, grid)).bits, 4 * 2 + 16 + 32);
  grid.zero.fill_(3);
  EXPECT_EQ(storage_cost(quantized_layer(weight, grid)).bits, 4 * 2 + 16 + 2);
  grid.zero.fill_(4);
  EXPECT_EQ(storage_cost(quantized_layer(weight, grid)).bits, 4 * 2 + 16 + 32);
}

TEST(QuantizedModel, parameters_are_replaced_by_name) {
  const TemporaryFolder folder;
  QuantizedModel model = example(at::kFloat);
  save_quantized(folder.path(), model);
  const std::filesystem::path file = folder.path() / "quantization.json";
  EXPECT_FALSE(parse_json(read_file(file), "test").contains("parameters"));
  model.layers.erase("units.1.linear");
  model.parameters["units.1.linear.weight"] = at::full({40, 40}, 0.5f);
  save_quantized(folder.path(), model);
  ChainNetwork network(2, 40, at::kDouble);
  apply_quantized(network, folder.path());
  EXPECT_TRUE(
      network.parameters().at("units.1.linear.weight").equal(at::full({40, 40}, 0.5, at::kDouble)));
  ChainNetwork shallow(1, 40, at::kFloat), narrow(2, 8, at::kFloat);
  EXPECT_THAT(refusal([&] { apply(model, shallow); }),
              HasSubstr("data: parameter 'units.1.linear.weight' is not in this chain network"));
  EXPECT_THAT(refusal([&] { replace_parameters(model.parameters, narrow); }),
              HasSubstr("data: parameter 'units.1.linear.weight' is [40, 40]"));
  const Json good = parse_json(read_file(file), "test");
  for (const char* bad : {"3", "[3]", "[\"units.9.linear.weight\"]", "[\"units.0.linear.code\"]"}) {
    Json json = good;
    json["parameters"] = Json::parse(bad);
    write_file_atomically(file, json.dump());
    EXPECT_THAT(refusal([&] { load_quantized(folder.path()); }), HasSubstr("data: ")) << bad;
  }
  model.parameters["units.1.linear.weight"][3][4] = NAN;
  save_quantized(folder.path(), model);
  EXPECT_THAT(refusal([&] { load_quantized(folder.path()); }),
              HasSubstr("parameter 'units.1.linear.weight' must hold finite floating values"));
}

TEST(QuantizedModel, a_symmetric_grid_is_told_and_its_zero_points_are_not_counted) {
  const TemporaryFolder folder;
  const ChainNetwork network(1, 40, at::kFloat);
  const at::Tensor& weight = network.parameters().at("units.0.linear.weight");
  QuantizedModel model{.method = "rtn"};
  model.layers["units.0.linear"] =
      quantized_layer(weight, find_grid(weight, {.bits = 3, .symmetric = true}));
  EXPECT_EQ(storage_cost(model).bits, 1600 * 3 + 40 * 16);
  save_quantized(folder.path(), model);
  EXPECT_TRUE(load_quantized(folder.path()).layers.at("units.0.linear").grid.symmetric);
  model.layers["units.0.linear"].grid.zero[0] = 3;
  save_quantized(folder.path(), model);
  EXPECT_THAT(refusal([&] { load_quantized(folder.path()); }),
              HasSubstr("a zero point of a symmetric grid is not in its middle"));
}

TEST(QuantizedModel, damage_is_refused_by_file_and_layer) {
  const TemporaryFolder folder;
  save_quantized(folder.path(), example(at::kFloat));
  const std::filesystem::path file = folder.path() / "quantization.json";
  const Json good = parse_json(read_file(file), "test");
  const auto with = [&](const std::function<void(Json&)>& change) {
    Json json = good;
    change(json);
    write_file_atomically(file, json.dump());
    return refusal([&] { load_quantized(folder.path()); });
  };
  EXPECT_THAT(with([](Json& j) { j["format"] = 2; }), HasSubstr("data: "));
  EXPECT_THAT(with([](Json& j) { j["layers"]["units.0.linear"]["bits"] = 99; }),
              HasSubstr("layer 'units.0.linear': bits 99"));
  EXPECT_THAT(with([](Json& j) { j["layers"]["units.0.linear"]["bits"] = 1; }),
              HasSubstr("a code does not fit its bits"));
  EXPECT_THAT(with([](Json& j) { j["layers"]["units.1.linear"]["group"] = 7; }),
              HasSubstr("wrong number of groups"));
  EXPECT_THAT(with([](Json& j) { j["layers"]["ghost"] = j["layers"]["units.0.linear"]; }),
              HasSubstr("tensor 'ghost.code' is missing"));
  EXPECT_THAT(with([](Json& j) { j.erase("activations"); }),
              HasSubstr("'activations' must be a mapping"));
  EXPECT_EQ(with([](Json&) {}), "no error");
}

TEST(QuantizedModel, a_network_of_another_shape_is_refused) {
  ChainNetwork narrow(2, 8, at::kFloat), shallow(1, 40, at::kFloat);
  EXPECT_THAT(refusal([&] { apply(example(at::kFloat), narrow); }),
              HasSubstr("data: quantized layer 'units.0.linear' is [40, 40]"));
  EXPECT_THAT(refusal([&] { apply(example(at::kFloat), shallow); }),
              HasSubstr("'units.1.linear' is not in this chain network"));
}

TEST(QuantizedModel, a_factor_of_the_column_survives_and_is_counted) {
  const TemporaryFolder folder;
  QuantizedModel model = example(at::kFloat);
  QuantizedLayer& layer = model.layers["units.0.linear"];
  const std::int64_t before = storage_cost(layer).bits;
  layer.grid.zeta = at::linspace(0.5, 2, 40).neg();  // least squares may give any sign
  EXPECT_EQ(storage_cost(layer).bits, before + 40 * 16);
  save_quantized(folder.path(), model);
  const QuantizedModel loaded = load_quantized(folder.path());
  const QuantizedLayer& again = loaded.layers.at("units.0.linear");
  EXPECT_TRUE(again.grid.zeta.equal(layer.grid.zeta));
  EXPECT_TRUE(decode(again.code, again.grid).equal(decode(layer.code, layer.grid)));
  for (const at::Tensor& bad : {at::zeros({40}), at::full({40}, NAN), at::ones({39}),
                                at::ones({40}, at::kDouble), at::ones({1, 40})}) {
    layer.grid.zeta = bad;
    save_quantized(folder.path(), model);
    EXPECT_THAT(refusal([&] { load_quantized(folder.path()); }),
                HasSubstr("layer 'units.0.linear': zeta must be one factor a column"));
  }
}

TEST(QuantizedModel, scaled_channels_are_named_in_the_description) {
  const TemporaryFolder folder;
  QuantizedModel model = example(at::kFloat);
  model.channel_scales["units.0.linear"] = at::full({40}, 2.);
  save_quantized(folder.path(), model);
  EXPECT_TRUE(load_quantized(folder.path())
                  .channel_scales.at("units.0.linear")
                  .equal(model.channel_scales.at("units.0.linear")));
  // A chain of linear layers has no groups.
  ChainNetwork network(2, 40, at::kFloat);
  EXPECT_THAT(refusal([&] { apply(model, network); }),
              HasSubstr("data: the channels of a layer are scaled that starts no group"));
  const std::string file = (folder.path() / "quantization.json").string();
  for (const char* bad : {"3", "[3]", "[\"units.9.linear\"]"}) {
    Json description = parse_json(read_file(file), file);
    description["scaled"] = Json::parse(bad);
    write_file_atomically(file, description.dump());
    EXPECT_THAT(refusal([&] { load_quantized(folder.path()); }), HasSubstr("data: ")) << bad;
  }
}

}  // namespace
}  // namespace assay::quant
