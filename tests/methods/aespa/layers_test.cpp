#include "methods/aespa/layers.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include "methods/aespa/zfold.h"
#include "methods/gptq/layer.h"

namespace assay::aespa {
namespace {

at::Tensor random_moments(std::int64_t n) {
  const at::Tensor x =
      at::matmul(at::randn({n, n}, at::kDouble), at::randn({n, 4 * n}, at::kDouble));
  return at::matmul(x, x.t()) / static_cast<double>(n);
}

quant::LayerMoments moments_named(const std::string& name, std::int64_t n) {
  return {.layer = {.name = name}, .column = random_moments(n)};
}

TEST(AespaLayers, without_its_own_steps_it_is_gptq_on_the_searched_grid) {
  at::manual_seed(1);
  const quant::LayerMoments moments = moments_named("fc1", 16);
  const at::Tensor weight = at::randn({6, 16}, at::kDouble);
  const Options options{.bits = 3, .learn_rounding = false};
  std::vector<LayerState> layers = {start_layer(moments, weight, options)};
  refine_grids(layers, {}, options);
  const at::Tensor code = codes_of(layers[0], compensated_weight(layers[0], options), options, {});
  const quant::LayerResult gptq = gptq::quantize_layer(weight, moments.column,
                                                       {.bits = 3,
                                                        .grid = quant::RangeSearch::kHessian,
                                                        .act_order = true,
                                                        .dead_value = options.dead_value},
                                                       "fc1");
  EXPECT_TRUE(code[0].equal(gptq.layer.code.to(at::kDouble)));
  EXPECT_TRUE(layers[0].grid.scale.reshape({6, 1}).equal(gptq.layer.grid.scale));
  // And without the column loop round to nearest on that grid.
  Options nearest = options;
  nearest.pre_update = false;
  const at::Tensor rounded =
      codes_of(layers[0], compensated_weight(layers[0], nearest), nearest, {});
  EXPECT_TRUE(rounded.equal(quant::encode(layers[0].weight, layers[0].grid)));
}

TEST(ZFold, layers_that_share_a_factor_find_it_and_never_lose) {  // T12
  at::manual_seed(2);
  // Columns of very different sizes, and one scale a row.
  const at::Tensor factor = at::exp(at::randn({12}, at::kDouble));
  std::vector<FoldedLayer> layers;
  for (int i = 0; i < 2; ++i) {
    const at::Tensor weight = at::randn({1, 8, 12}, at::kDouble) * factor;
    layers.push_back(
        {weight, random_moments(12).unsqueeze(0), quant::find_grid(weight, {.bits = 3})});
  }
  const auto loss = [](const std::vector<FoldedLayer>& all) {
    double sum = 0;
    for (const FoldedLayer& each : all) {
      const at::Tensor difference = quant::fake_quantize(each.weight, each.grid) - each.weight;
      sum += (at::matmul(difference, each.column) * difference).sum().item<double>();
    }
    return sum;
  };
  const double before = loss(layers);
  double last = before;
  for (const std::int64_t rounds : {1, 2, 5, 30}) {
    std::vector<FoldedLayer> copy = layers;
    fold_zeta({&copy[0], &copy[1]}, rounds);
    EXPECT_LE(loss(copy), last) << rounds;
    EXPECT_TRUE(copy[0].grid.zeta.equal(copy[1].grid.zeta));
    last = loss(copy);
  }
  EXPECT_LT(last, 0.8 * before);
}

TEST(ZFold, a_column_that_rounds_to_nothing_keeps_a_factor_of_one) {
  at::manual_seed(3);
  at::Tensor weight = at::randn({1, 4, 6}, at::kDouble);
  weight.select(2, 2).zero_();
  FoldedLayer layer{weight, random_moments(6).unsqueeze(0), quant::find_grid(weight, {.bits = 4})};
  fold_zeta({&layer}, 3);
  EXPECT_EQ(layer.grid.zeta[2].item<double>(), 1);
  EXPECT_TRUE(layer.grid.zeta.isfinite().all().item<bool>());
}

}  // namespace
}  // namespace assay::aespa
