#include "methods/quant/zfold.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include "methods/quant/grid_search.h"

namespace assay::quant {
namespace {

at::Tensor random_moments(std::int64_t n) {
  const at::Tensor x =
      at::matmul(at::randn({n, n}, at::kDouble), at::randn({n, 4 * n}, at::kDouble));
  return at::matmul(x, x.t()) / static_cast<double>(n);
}

TEST(ZFold, layers_that_share_a_factor_find_it_and_never_lose) {  // T12
  at::manual_seed(2);
  // Columns of very different sizes, and one scale a row.
  const at::Tensor factor = at::exp(at::randn({12}, at::kDouble));
  std::vector<FoldedLayer> layers;
  for (int i = 0; i < 2; ++i) {
    const at::Tensor weight = at::randn({1, 8, 12}, at::kDouble) * factor;
    layers.push_back({weight, random_moments(12).unsqueeze(0), find_grid(weight, {.bits = 3})});
  }
  const auto loss = [](const std::vector<FoldedLayer>& all) {
    double sum = 0;
    for (const FoldedLayer& each : all) {
      const at::Tensor difference = fake_quantize(each.weight, each.grid) - each.weight;
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
  FoldedLayer layer{weight, random_moments(6).unsqueeze(0), find_grid(weight, {.bits = 4})};
  fold_zeta({&layer}, 3);
  EXPECT_EQ(layer.grid.zeta[2].item<double>(), 1);
  EXPECT_TRUE(layer.grid.zeta.isfinite().all().item<bool>());
}

TEST(ZFold, equal_losses_go_on) {
  FoldedLayer layer{at::zeros({1, 4, 6}, at::kDouble), random_moments(6).unsqueeze(0), {}};
  layer.grid = find_grid(layer.weight, {.bits = 4});
  EXPECT_EQ(fold_zeta({&layer}, 7), 7);
}

TEST(ZFold, the_first_round_that_loses_ends_it) {
  at::manual_seed(4);
  const at::Tensor weight = at::randn({1, 8, 12}, at::kDouble);
  const FoldedLayer start{weight, random_moments(12).unsqueeze(0), find_grid(weight, {.bits = 3})};
  FoldedLayer kept = start;
  const std::int64_t rounds = fold_zeta({&kept}, 1000);
  ASSERT_GT(rounds, 0);
  ASSERT_LT(rounds, 1000);
  const auto loss = [&](const Grid& grid) {
    const at::Tensor difference = fake_quantize(weight, grid) - weight;
    return (at::matmul(difference, start.column) * difference).sum().item<double>();
  };
  EXPECT_LT(loss(kept.grid), loss(start.grid));
  // The round after it, by hand.
  const at::Tensor value = fake_quantize(weight, kept.grid) / kept.grid.zeta;
  const at::Tensor zeta = (value * weight).sum({0, 1}) / (value.square().sum({0, 1}) + 1e-10);
  EXPECT_GT(loss(folded_grid(start, zeta)), loss(kept.grid) * (1 + 1e-9));
}

TEST(ZFold, factors_of_random_weights_stay_near_one) {  // T12
  at::manual_seed(5);
  const at::Tensor weight = at::randn({1, 256, 32}, at::kDouble);
  FoldedLayer layer{weight, random_moments(32).unsqueeze(0), find_grid(weight, {.bits = 3})};
  fold_zeta({&layer}, 30);
  EXPECT_LT((layer.grid.zeta - 1).abs().max().item<double>(), 0.15);
}

TEST(ZFold, the_grid_under_a_factor_is_that_of_the_weight_without_it) {
  at::manual_seed(6);
  const at::Tensor weight = at::randn({1, 5, 8}, at::kDouble);
  const at::Tensor moments = random_moments(8).unsqueeze(0), zeta = at::rand({8}, at::kDouble) + .5;
  const FoldedLayer layer{weight * zeta, moments,
                          find_grid(weight, {.bits = 3, .symmetric = true})};
  const Grid grid = folded_grid(layer, zeta);
  const Grid expected =
      find_grid(weight, {.bits = 3, .search = RangeSearch::kHessian, .symmetric = true},
                moments * zeta.unsqueeze(0) * zeta.unsqueeze(1));
  EXPECT_TRUE(grid.symmetric);
  EXPECT_TRUE(grid.scale.allclose(expected.scale, 1e-12, 0));
  EXPECT_TRUE(
      folded_grid(layer, zeta, RangeSearch::kMinMax)
          .scale.allclose(find_grid(weight, {.bits = 3, .symmetric = true}).scale, 1e-12, 0));
}

}  // namespace
}  // namespace assay::quant
