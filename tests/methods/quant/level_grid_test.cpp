#include <ATen/ATen.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "methods/quant/coded_scales.h"
#include "methods/quant/quantized_model.h"
#include "tests/methods/support/chain_network.h"
#include "tests/support/refusal.h"
#include "tests/support/temporary_folder.h"

namespace assay::quant {
namespace {

using assay::testing::refusal;
using ::testing::HasSubstr;

at::Tensor doubles(const std::vector<double>& values) { return at::tensor(values, at::kDouble); }

TEST(LevelGrid, codes_are_the_nearest_levels_in_runs_that_cross_rows) {
  const Grid grid{.bits = 2,
                  .group = 4,
                  .scale = doubles({1, 10}).unsqueeze(0),
                  .levels = doubles({-1, -0.25, 0, 1})};
  const at::Tensor weight = doubles({-3, -0.62, -0.2, 0.4, 4, 6}).reshape({2, 3});
  const at::Tensor code = encode(weight, grid);
  EXPECT_TRUE(code.equal(doubles({0, 1, 1, 2, 2, 3}).reshape({2, 3})));
  EXPECT_TRUE(decode(code, grid).equal(doubles({-1, -0.25, -0.25, 0, 0, 10}).reshape({2, 3})));
}

TEST(LevelGrid, a_weight_in_the_middle_of_two_levels_takes_the_lower) {
  const Grid grid{.bits = 1,
                  .group = 8,
                  .scale = at::full({1, 1}, 2, at::kDouble),
                  .levels = doubles({-1, 0.5})};
  const double above = std::nextafter(-0.5, 0);
  EXPECT_TRUE(
      encode(doubles({-0.5, above}).unsqueeze(0), grid).equal(doubles({0, 1}).unsqueeze(0)));
}

TEST(CodedScales, are_the_mean_and_eight_bits_in_runs_of_256) {
  at::manual_seed(1);
  const at::Tensor scale = at::rand({1, 600}, at::kDouble) + 0.5;
  const CodedScales coded = coded_scales(scale);
  const at::Tensor decoded = decode(coded);
  const double mean = scale.mean().item<double>();
  for (std::int64_t begin = 0; begin < 600; begin += 256) {
    const std::int64_t width = std::min<std::int64_t>(256, 600 - begin);
    const at::Tensor part = scale.narrow(1, begin, width) - mean;
    const double step = 2 * part.abs().max().item<double>() / 255;
    const at::Tensor code = at::clamp(at::round(part / step) + 128, 0, 255);
    EXPECT_TRUE(coded.code.narrow(1, begin, width).to(at::kDouble).equal(code));
    EXPECT_TRUE(decoded.narrow(1, begin, width).allclose(mean + step * (code - 128), 1e-12, 0));
  }
  EXPECT_EQ(storage_bits(coded), 600 * 8 + 3 * 32 + 32);
}

TEST(CodedScales, none_is_zero_or_less) {
  at::Tensor scale = at::full({1, 256}, 1e-9, at::kFloat);
  scale[0][0] = 1;  // a step is near 1/128, so all others would round to nothing
  const CodedScales coded = coded_scales(scale);
  EXPECT_GT(decode(coded).min().item<float>(), 0);
  EXPECT_LT(decode(coded).narrow(1, 1, 255).max().item<float>(), 0.01);
  // Equal scales have no range: they are their mean.
  EXPECT_TRUE(decode(coded_scales(at::full({1, 300}, 0.25, at::kFloat)))
                  .equal(at::full({1, 300}, 0.25, at::kFloat)));
}

class LevelArtifact : public ::testing::Test {
 protected:
  // A weight [40, 40] in 16 blocks of 100, so no block ends where a row does but every second.
  QuantizedModel model(bool coded, at::ScalarType type = at::kFloat) const {
    const models::ChainNetwork network(1, 40, type);
    const at::Tensor& weight = network.parameters().at("units.0.linear.weight");
    Grid grid{.bits = 3,
              .group = 100,
              .scale = weight.reshape({16, 100}).abs().amax({1}).unsqueeze(0),
              .levels = at::linspace(-1, 1, 8, type).pow(3)};
    QuantizedModel made{.method = "test"};
    QuantizedLayer& layer = made.layers["units.0.linear"];
    std::optional<CodedScales> scales;
    if (coded) {
      scales = coded_scales(grid.scale);
      grid.scale = decode(*scales);
    }
    layer = quantized_layer(weight, grid);
    layer.scales = scales;
    return made;
  }

  std::string refused(const std::function<void(QuantizedLayer&)>& change, bool coded = false) {
    QuantizedModel made = model(coded);
    change(made.layers["units.0.linear"]);
    save_quantized(folder_.path(), made);
    return refusal([&] { load_quantized(folder_.path()); });
  }

  TemporaryFolder folder_;
};

TEST_F(LevelArtifact, weights_are_rebuilt_exactly) {
  for (const at::ScalarType type : {at::kFloat, at::kDouble}) {
    for (const bool coded : {false, true}) {
      models::ChainNetwork network(1, 40, type);
      const QuantizedModel made = model(coded, type);
      const at::Tensor expected = fake_quantize(network.parameters().at("units.0.linear.weight"),
                                                made.layers.at("units.0.linear").grid);
      save_quantized(folder_.path(), made);
      apply_quantized(network, folder_.path());
      EXPECT_TRUE(network.parameters().at("units.0.linear.weight").equal(expected));
      EXPECT_EQ(load_quantized(folder_.path()).layers.at("units.0.linear").scales.has_value(),
                coded);
    }
  }
}

TEST_F(LevelArtifact, storage_counts_blocks_and_levels_and_survives) {
  for (const bool coded : {false, true}) {
    const QuantizedModel made = model(coded);
    EXPECT_EQ(storage_cost(made).bits, 1600 * 3 + 8 * 32 + (coded ? 16 * 8 + 32 + 32 : 16 * 16));
    save_quantized(folder_.path(), made);
    EXPECT_EQ(storage_cost(load_quantized(folder_.path())).bits, storage_cost(made).bits);
  }
}

TEST_F(LevelArtifact, damage_is_refused) {
  const char* table = "layer 'units.0.linear': levels must be 2^bits finite numbers in ascending";
  const auto levels = [&](const at::Tensor& other) {
    return refused([&](QuantizedLayer& layer) { layer.grid.levels = other; });
  };
  const at::Tensor good = model(false).layers.at("units.0.linear").grid.levels;
  EXPECT_EQ(levels(good), "no error");
  EXPECT_THAT(levels(good.flip(0)), HasSubstr(table));
  EXPECT_THAT(levels(good.masked_fill(good == 1, NAN)), HasSubstr(table));
  EXPECT_THAT(levels(good.masked_fill(good == 1, INFINITY)), HasSubstr(table));
  EXPECT_THAT(levels(at::zeros({8})), HasSubstr(table));
  EXPECT_THAT(levels(good.narrow(0, 0, 7)), HasSubstr(table));
  EXPECT_THAT(levels(good.to(at::kDouble)), HasSubstr(table));
  EXPECT_THAT(levels(good.reshape({1, 8})), HasSubstr(table));
  EXPECT_THAT(refused([](QuantizedLayer& layer) { layer.code[0][0] = 8; }),
              HasSubstr("a code does not fit its bits"));
  EXPECT_THAT(refused([](QuantizedLayer& layer) { layer.grid.scale[0][3] = 0; }),
              HasSubstr("a scale is not above 0"));
  EXPECT_THAT(
      refused([](QuantizedLayer& layer) { layer.grid.scale = layer.grid.scale.narrow(1, 0, 15); }),
      HasSubstr("scale must be floating [1, blocks]"));
  EXPECT_THAT(refused([](QuantizedLayer& layer) { layer.grid.zero = layer.grid.scale; }),
              HasSubstr("neither zero points"));
  EXPECT_THAT(refused([](QuantizedLayer& layer) { layer.grid.zeta = at::ones({40}); }),
              HasSubstr("neither zero points"));
  EXPECT_THAT(refused([](QuantizedLayer& layer) { layer.grid.group = -1; }),
              HasSubstr("needs a group of at least 1"));
}

TEST_F(LevelArtifact, damage_of_coded_scales_is_refused) {
  const auto scales = [&](const std::function<void(CodedScales&)>& change) {
    return refused([&](QuantizedLayer& layer) { change(*layer.scales); }, true);
  };
  const char* shape = "scales of layer 'units.0.linear': they must be uint8 [1, blocks]";
  EXPECT_EQ(scales([](CodedScales&) {}), "no error");
  EXPECT_THAT(scales([](CodedScales& s) { s.code = s.code.to(at::kInt); }), HasSubstr(shape));
  EXPECT_THAT(scales([](CodedScales& s) { s.code = s.code.reshape({4, 4}); }), HasSubstr(shape));
  EXPECT_THAT(scales([](CodedScales& s) { s.mean = at::ones({2}); }), HasSubstr(shape));
  EXPECT_THAT(scales([](CodedScales& s) { s.mean = s.mean.to(at::kDouble); }), HasSubstr(shape));
  EXPECT_THAT(scales([](CodedScales& s) { s.mean.fill_(-1); }),
              HasSubstr("a scale is not above 0"));
  EXPECT_THAT(scales([](CodedScales& s) { s.mean.fill_(NAN); }),
              HasSubstr("a scale is not above 0"));
  EXPECT_THAT(scales([](CodedScales& s) { s.grid.scale = s.grid.scale.to(at::kInt); }),
              HasSubstr("'units.0.linear.scale_step' must be floating"));
  EXPECT_THAT(scales([](CodedScales& s) { s.grid.scale.neg_(); }),
              HasSubstr("a scale is not above 0"));
  EXPECT_THAT(scales([](CodedScales& s) {
                s.grid.scale = at::ones({1, 2});
              }),
              HasSubstr("wrong number of groups"));
  EXPECT_THAT(scales([](CodedScales& s) { s.code = s.code.narrow(1, 0, 15); }),
              HasSubstr("scale must be floating [1, blocks]"));
}

}  // namespace
}  // namespace assay::quant
