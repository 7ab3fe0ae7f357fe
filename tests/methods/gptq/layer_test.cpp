#include "methods/gptq/layer.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include "methods/quant/factor.h"

namespace assay::gptq {
namespace {

struct Problem {
  at::Tensor weight, hessian;
};

Problem correlated(std::int64_t rows, std::int64_t columns, std::uint64_t seed) {
  at::manual_seed(seed);
  const at::Tensor mix = at::randn({columns, columns}, at::kDouble);
  const at::Tensor x = at::matmul(mix, at::randn({columns, 3 * columns}, at::kDouble));
  return {at::randn({rows, columns}, at::kDouble), at::matmul(x, x.t()) * (2.0 / 9)};
}

TEST(GptqLayer, act_order_on_a_diagonal_changes_nothing) {
  Problem p = correlated(5, 24, 1);
  p.hessian = at::diag(at::diagonal(p.hessian).clone());
  const at::Tensor plain = quantize_layer(p.weight, p.hessian, {.bits = 3}, "l").layer.code;
  EXPECT_TRUE(quantize_layer(p.weight, p.hessian, {.bits = 3, .act_order = true}, "l")
                  .layer.code.equal(plain));
}

TEST(GptqLayer, act_order_rounds_in_descending_order_and_restores_the_columns) {
  const Problem p = correlated(5, 24, 2);
  const quant::LayerResult result =
      quantize_layer(p.weight, p.hessian, {.bits = 3, .act_order = true}, "l");
  const at::Tensor perm = at::argsort(at::diagonal(p.hessian), true, 0, true);
  const quant::LayerResult sorted =
      quantize_layer(p.weight.index_select(1, perm),
                     p.hessian.index_select(0, perm).index_select(1, perm), {.bits = 3}, "l");
  EXPECT_TRUE(result.layer.code.index_select(1, perm).equal(sorted.layer.code));
}

TEST(GptqLayer, static_groups_with_act_order_dequantize_without_the_permutation) {
  const Problem p = correlated(5, 40, 3);
  const quant::LayerResult result = quantize_layer(
      p.weight, p.hessian, {.bits = 3, .group = 16, .static_groups = true, .act_order = true}, "l");
  EXPECT_FALSE(result.layer.grid.perm.defined());
  const quant::Grid expected = quant::find_grid(
      p.weight, {.bits = 3, .granularity = quant::Granularity::kGroup, .group = 16});
  EXPECT_TRUE(result.layer.grid.scale.equal(expected.scale));
  EXPECT_TRUE(result.weight.equal(quant::decode(result.layer.code, expected)));
}

TEST(GptqLayer, dynamic_groups_with_act_order_keep_the_permutation) {
  const Problem p = correlated(5, 40, 4);
  const quant::LayerResult result =
      quantize_layer(p.weight, p.hessian, {.bits = 3, .group = 16, .act_order = true}, "l");
  ASSERT_TRUE(result.layer.grid.perm.defined());
  const at::Tensor delta = result.weight - p.weight;
  const at::Tensor damped = quant::with_damping(p.hessian, 0.01);
  EXPECT_NEAR(result.loss / ((at::matmul(delta, damped) * delta).sum().item<double>() / 2), 1,
              1e-9);
}

TEST(GptqLayer, dead_inputs_get_zero_weights_and_widen_only_the_grid_of_rows) {
  Problem p = correlated(4, 16, 5);
  p.hessian[3].zero_(), p.hessian.select(1, 3).zero_();
  p.weight.select(1, 3).fill_(50);
  const quant::LayerResult rows = quantize_layer(p.weight, p.hessian, {.bits = 4}, "l");
  EXPECT_EQ(rows.weight.select(1, 3).abs().max().item<double>(), 0);
  EXPECT_GT(rows.layer.grid.scale.min().item<double>(), 3);
  const quant::LayerResult groups =
      quantize_layer(p.weight, p.hessian, {.bits = 4, .group = 8}, "l");
  EXPECT_LT(groups.layer.grid.scale.max().item<double>(), 1);
}

TEST(GptqLayer, a_search_by_moments_scores_dead_columns_as_zeros) {
  Problem p = correlated(4, 16, 7);
  p.hessian[3].zero_(), p.hessian.select(1, 3).zero_();
  Problem alive = p;
  alive.weight = p.weight.clone();
  alive.weight.select(1, 3).zero_();
  p.weight.select(1, 3).fill_(50);
  const Options options{.bits = 4, .grid = quant::RangeSearch::kHessian};
  EXPECT_TRUE(quantize_layer(p.weight, p.hessian, options, "l")
                  .layer.grid.scale.equal(
                      quantize_layer(alive.weight, alive.hessian, options, "l").layer.grid.scale));
}

TEST(GptqLayer, the_hessian_grid_serves_rows_and_groups) {
  const Problem p = correlated(8, 32, 6);
  const quant::RangeSearch search = quant::RangeSearch::kHessian;
  for (const std::int64_t group : {-1, 8}) {
    const Options options{.bits = 2, .grid = search, .group = group};
    const quant::LayerResult result = quantize_layer(p.weight, p.hessian, options, "l");
    EXPECT_TRUE(result.weight.isfinite().all().item<bool>());
    EXPECT_EQ(result.layer.grid.scale.size(1), quant::group_count(32, group));
  }
}

}  // namespace
}  // namespace assay::gptq
