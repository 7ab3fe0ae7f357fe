#include "methods/quant/sequential.h"

#include <ATen/ATen.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "methods/quant/activation.h"
#include "methods/quant/block_walk.h"
#include "methods/quant/grid_search.h"
#include "methods/quant/partial_pass.h"
#include "methods/quant/site_value.h"
#include "tests/methods/support/chain_network.h"
#include "tests/methods/support/tapped_network.h"
#include "tests/support/refusal.h"
#include "tests/support/temporary_folder.h"

namespace assay::quant {
namespace {

using models::ChainNetwork;

at::Tensor inputs(std::int64_t rows) {
  at::manual_seed(3);
  return at::randn({rows, 5, 6}, at::kDouble);
}

at::Tensor moments(const at::Tensor& x) {
  const at::Tensor flat = x.reshape({-1, x.size(-1)});
  return at::matmul(flat.t(), flat) * (2.0 / static_cast<double>(flat.size(0)));
}

void round_weight(ChainNetwork& network, const models::Layer& layer) {
  at::Tensor& weight = network.parameters().at(layer.name + ".weight");
  weight = fake_quantize(weight, find_grid(weight, {.bits = 3}));
}

TEST(Sequential, a_unit_sees_the_output_of_the_quantized_units_before_it) {
  ChainNetwork network(3, 6, at::kDouble);
  ChainNetwork reference(3, 6, at::kDouble);
  const at::Tensor x = inputs(11);  // not a multiple of the chunk
  std::vector<std::int64_t> finished;
  at::Tensor hidden = x;
  models::Tap none;
  quantize_sequentially(network, x, {},
                        {.quantize =
                             [&](const std::vector<LayerMoments>& layers) {
                               ASSERT_EQ(layers.size(), 1U);
                               const models::Layer& layer = layers[0].layer;
                               EXPECT_TRUE(layers[0].column.allclose(moments(hidden), 1e-12));
                               EXPECT_EQ(layers[0].length, 5);
                               round_weight(network, layer);
                               round_weight(reference, layer);
                               hidden = reference.unit(layer.unit, hidden, none);
                             },
                         .finished = [&](std::int64_t unit) { finished.push_back(unit); }});
  EXPECT_EQ(finished, (std::vector<std::int64_t>{0, 1, 2}));
}

TEST(Sequential, a_pass_ends_where_all_sites_were_seen) {
  const ChainNetwork network(1, 6, at::kDouble);
  struct Recorder : models::Tap {
    at::Tensor operator()(std::string_view site, const at::Tensor& value) override {
      seen.emplace_back(site);
      return value;
    }
    std::vector<std::string> seen;
  };
  const auto seen_until = [&](const SiteNames& sites) {
    Recorder recorder;
    pass_until_seen(sites, network, 0, inputs(1), recorder);
    return recorder.seen;
  };
  EXPECT_THAT(seen_until({"units.0.linear.in"}), ::testing::ElementsAre("units.0.linear.in"));
  EXPECT_EQ(seen_until({"units.0.linear.in", "units.0.linear.out"}).size(), 2U);
  EXPECT_EQ(seen_until({"units.0.linear.in", "no site"}).size(), 2U) << "then it goes to its end";
}

TEST(Sequential, a_restored_unit_is_not_computed_again) {
  ChainNetwork whole(3, 6, at::kDouble), resumed(3, 6, at::kDouble);
  std::vector<at::Tensor> seen, seen_again;
  const auto quantize = [](ChainNetwork& network, std::vector<at::Tensor>& list) {
    return [&](const std::vector<LayerMoments>& layers) {
      list.push_back(layers.at(0).column);
      round_weight(network, layers.at(0).layer);
    };
  };
  quantize_sequentially(whole, inputs(9), {}, {.quantize = quantize(whole, seen)});
  quantize_sequentially(resumed, inputs(9), {},
                        {.restore =
                             [&](std::int64_t unit) {
                               if (unit > 1) return false;
                               round_weight(resumed,
                                            resumed.layers()[static_cast<std::size_t>(unit)]);
                               return true;
                             },
                         .quantize = quantize(resumed, seen_again)});
  ASSERT_EQ(seen_again.size(), 1u);
  EXPECT_TRUE(seen_again[0].equal(seen[2]));
}

TEST(Sequential, float_propagation_collects_on_the_float_network) {
  ChainNetwork network(3, 6, at::kDouble), reference(3, 6, at::kDouble);
  const at::Tensor x = inputs(11);
  at::Tensor hidden = x;
  models::Tap none;
  int seen = 0;
  const auto quantize = [&](const std::vector<LayerMoments>& layers) {
    EXPECT_TRUE(layers.at(0).column.allclose(moments(hidden), 1e-12));
    hidden = reference.unit(layers.at(0).layer.unit, hidden, none);
    round_weight(network, layers.at(0).layer);
    ++seen;
  };
  quantize_sequentially(network, x, {.propagate = Propagation::kFloat}, {.quantize = quantize});
  EXPECT_EQ(seen, 3);
  // A unit that an earlier attempt finished has float successors all the same.
  ChainNetwork resumed(3, 6, at::kDouble);
  hidden = reference.unit(1, reference.unit(0, x, none), none);
  quantize_sequentially(resumed, x, {.propagate = Propagation::kFloat},
                        {.restore =
                             [&](std::int64_t unit) {
                               if (unit > 1) return false;
                               round_weight(resumed,
                                            resumed.layers()[static_cast<std::size_t>(unit)]);
                               return true;
                             },
                         .quantize = quantize});
  EXPECT_EQ(seen, 4);
}

TEST(Sequential, a_stop_is_heard_in_every_pass_of_float_propagation) {
  ChainNetwork network(2, 6, at::kDouble);
  std::vector<int> heard;  // calls before each unit is quantized
  int calls = 0;
  quantize_sequentially(
      network, inputs(9), {.propagate = Propagation::kFloat, .between_chunks = [&] { ++calls; }},
      {.quantize = [&](const std::vector<LayerMoments>&) { heard.push_back(calls); }});
  // Two chunks: embedding, float output of the first unit, its moments; moments of the last unit.
  EXPECT_EQ(heard, (std::vector<int>{6, 8}));
}

TEST(Sequential, a_method_may_look_at_the_unit_itself) {
  ChainNetwork network(3, 6, at::kDouble), reference(3, 6, at::kDouble);
  const at::Tensor x = inputs(11);
  models::Untapped none;
  at::Tensor hidden = x;
  const BlockWalkResult result = quantize_blocks(
      network, x, UnitQuantizer([&](const UnitInputs& unit) {
        const models::Layer layer = network.layers()[static_cast<std::size_t>(unit.unit)];
        const at::Tensor weight = network.parameters().at(layer.name + ".weight");
        EXPECT_TRUE(weight.equal(reference.parameters().at(layer.name + ".weight")));
        EXPECT_TRUE(at::cat(unit.hidden).narrow(0, 0, 11).allclose(hidden, 1e-12));
        EXPECT_EQ(unit.chunks.back().valid, 11);
        hidden = reference.unit(unit.unit, hidden, none);
        BlockWalkResult made;
        made.model.layers[layer.name] = quantized_layer(weight, find_grid(weight, {.bits = 3}));
        made.losses[layer.name] = static_cast<double>(unit.unit);
        return made;
      }),
      {.method = "looks", .sequential = {.propagate = Propagation::kFloat}});
  EXPECT_EQ(result.model.method, "looks");
  EXPECT_EQ(result.losses.size(), 3u);
  for (const auto& [name, layer] : result.model.layers) {
    const at::Tensor weight = network.parameters().at(name + ".weight");
    EXPECT_TRUE(weight.equal(decode(layer.code, layer.grid)));
    EXPECT_FALSE(weight.equal(reference.parameters().at(name + ".weight")));
  }
}

// What the float network is given and makes of it, beside the inputs that rounded units produce:
// those of finished units round activations, too, and replace parameters.
TEST(Sequential, a_method_may_look_at_the_float_network_beside) {
  ChainNetwork network(3, 6, at::kDouble), reference(3, 6, at::kDouble), rounded(3, 6, at::kDouble);
  const at::Tensor x = inputs(11);
  const TemporaryFolder checkpoints;
  const auto run = [&](ChainNetwork& walked) {
    models::Untapped none;
    ActivationTap tap({});
    at::Tensor hidden = x, float_hidden = x;
    std::int64_t seen = 0;
    const UnitQuantizer quantizer = [&](const UnitInputs& unit) {
      const std::string name = ChainNetwork::name(unit.unit);
      EXPECT_TRUE(at::cat(unit.hidden).narrow(0, 0, 11).allclose(hidden, 1e-12));
      EXPECT_TRUE(at::cat(unit.float_hidden).narrow(0, 0, 11).allclose(float_hidden, 1e-12));
      float_hidden = reference.unit(unit.unit, float_hidden, none);
      EXPECT_TRUE(at::cat(unit.float_outputs).narrow(0, 0, 11).allclose(float_hidden, 1e-12));
      BlockWalkResult made{.losses = {{name, 1}}, .first_losses = {{name, 2}}};
      made.model.activations[name + ".in"] = {.scheme = ActivationScheme::kToken, .bits = 3};
      made.model.parameters[name + ".weight"] = walked.parameters().at(name + ".weight") * 2;
      rounded.parameters().at(name + ".weight") = made.model.parameters.at(name + ".weight");
      tap.add(made.model.activations);
      hidden = rounded.unit(unit.unit, hidden, tap);
      ++seen;
      return made;
    };
    const BlockWalkResult result = quantize_blocks(
        walked, x, quantizer,
        {.method = "beside", .sequential = {.upstream = true}, .checkpoints = checkpoints.path()});
    EXPECT_EQ(seen, 3);
    return result;
  };
  const BlockWalkResult result = run(network);
  EXPECT_EQ(result.model.activations.size(), 3u);
  EXPECT_EQ(result.model.parameters.size(), 3u);
  EXPECT_EQ(result.losses.size(), 3u);
  EXPECT_EQ(result.first_losses.size(), 3u);
  // Another attempt takes all of it from the checkpoints.
  ChainNetwork again(3, 6, at::kDouble);
  const BlockWalkResult restored = quantize_blocks(
      again, x, UnitQuantizer([](const UnitInputs&) {
        ADD_FAILURE();
        return BlockWalkResult();
      }),
      {.method = "beside", .sequential = {.upstream = true}, .checkpoints = checkpoints.path()});
  EXPECT_EQ(restored.first_losses, result.first_losses);
  EXPECT_EQ(restored.model.activations, result.model.activations);
  for (const auto& [name, slot] : again.parameters().slots()) {
    EXPECT_TRUE(slot->equal(network.parameters().at(name))) << name;
    EXPECT_TRUE(slot->equal(reference.parameters().at(name) * 2)) << name;
  }
}

TEST(Sequential, a_weight_that_is_not_finite_is_named_before_a_method_looks) {
  ChainNetwork network(2, 6, at::kDouble);
  network.parameters().at("units.1.linear.weight").select(0, 2).fill_(NAN);
  std::int64_t seen = 0;
  EXPECT_THAT(assay::testing::refusal([&] {
                quantize_sequentially(network, inputs(9), {.propagate = Propagation::kFloat},
                                      {.quantize_unit = [&](const UnitInputs&) { ++seen; }});
              }),
              ::testing::HasSubstr("method: layer 'units.1.linear': the weight holds NaN"));
  EXPECT_EQ(seen, 1);
}

TEST(SiteValue, is_what_arrives_there_and_nothing_after_it_is_computed) {
  ChainNetwork network(1, 6, at::kDouble);
  const at::Tensor x = inputs(2);
  std::vector<std::string> reached;
  struct Watcher : models::Tap {
    std::vector<std::string>& sites;
    explicit Watcher(std::vector<std::string>& all) : sites(all) {}
    at::Tensor operator()(std::string_view site, const at::Tensor& value) override {
      sites.emplace_back(site);
      return value * 2;  // what the network has already stands in front
    }
  } own(reached);
  EXPECT_TRUE(site_value(network, 0, x, "units.0.linear.in", own).equal(x * 2));
  EXPECT_EQ(reached, (std::vector<std::string>{"units.0.linear.in"}));
  models::Untapped none;
  const at::Tensor weight = network.parameters().at("units.0.linear.weight");
  EXPECT_TRUE(
      site_value(network, 0, x, "units.0.linear.out", none).allclose(at::matmul(x, weight.t())));
  EXPECT_THAT(
      assay::testing::refusal([&] { site_value(network, 0, x, "units.0.elsewhere", none); }),
      ::testing::HasSubstr("method: unit 0 does not reach site 'units.0.elsewhere'"));
}

TEST(Sequential, moments_are_of_a_network_whose_activations_are_quantized_already) {
  ChainNetwork network(3, 6, at::kDouble), inner(3, 6, at::kDouble);
  std::map<std::string, ActivationQuantizer, std::less<>> quantizers;
  for (const std::string& site : network.sites()) {
    quantizers[site] = {.scheme = ActivationScheme::kToken, .bits = 3};
  }
  ActivationTap own(quantizers), built_in(quantizers);
  models::TappedNetwork reference(inner, built_in);
  std::vector<at::Tensor> seen, expected;
  const auto collect = [](models::Network& of, std::vector<at::Tensor>& list) {
    return [&](const std::vector<LayerMoments>& layers) {
      list.push_back(layers.at(0).column);
      at::Tensor& weight = of.parameters().at(layers.at(0).layer.name + ".weight");
      weight = fake_quantize(weight, find_grid(weight, {.bits = 3}));
    };
  };
  quantize_sequentially(network, inputs(9), {.tap = &own}, {.quantize = collect(network, seen)});
  quantize_sequentially(reference, inputs(9), {}, {.quantize = collect(reference, expected)});
  ASSERT_EQ(seen.size(), 3u);
  for (std::size_t i = 0; i < seen.size(); ++i) EXPECT_TRUE(seen[i].equal(expected[i])) << i;
  std::vector<at::Tensor> plain;
  ChainNetwork untouched(3, 6, at::kDouble);
  quantize_sequentially(untouched, inputs(9), {}, {.quantize = collect(untouched, plain)});
  EXPECT_FALSE(seen[0].equal(plain[0]));
}

}  // namespace
}  // namespace assay::quant
