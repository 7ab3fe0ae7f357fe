#include "methods/boa/layer.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <cmath>

#include "methods/gptq/layer.h"
#include "methods/quant/factor.h"

namespace assay::boa {
namespace {

at::Tensor random_moments(const std::vector<std::int64_t>& batch, std::int64_t n) {
  std::vector<std::int64_t> shape = batch;
  shape.insert(shape.end(), {n, 4 * n});
  std::vector<std::int64_t> mix = batch;
  mix.insert(mix.end(), {n, n});
  const at::Tensor x = at::matmul(at::randn(mix, at::kDouble), at::randn(shape, at::kDouble));
  return at::matmul(x, x.transpose(-2, -1));
}

double two_sided(const at::Tensor& difference, const at::Tensor& column, const at::Tensor& row) {
  return (at::matmul(row, difference) * at::matmul(difference, column)).sum().item<double>();
}

TEST(BoaLayer, rows_that_nothing_couples_are_gptq) {  // T16
  at::manual_seed(1);
  const at::Tensor column = random_moments({}, 20), weight = at::randn({12, 20}, at::kDouble);
  const at::Tensor identity = at::eye(6, at::kDouble).mul(3.7).expand({2, 6, 6});
  for (const bool ordered : {false, true}) {
    const Options options{.bits = 2, .act_order_columns = ordered};
    const quant::LayerResult ours = quantize_layer(weight, column, identity, options, "layer");
    const quant::LayerResult gptq = gptq::quantize_layer(weight, column,
                                                         {.bits = 2,
                                                          .grid = quant::RangeSearch::kHessian,
                                                          .act_order = ordered,
                                                          .dead_value = options.dead_value},
                                                         "layer");
    EXPECT_TRUE(ours.layer.code.equal(gptq.layer.code));
    EXPECT_TRUE(ours.layer.grid.scale.equal(gptq.layer.grid.scale));
    const quant::LayerResult without = quantize_layer(weight, column, {}, options, "layer");
    EXPECT_TRUE(without.layer.code.equal(gptq.layer.code));
    EXPECT_NEAR(without.loss, gptq.loss, 1e-9 * gptq.loss);
  }
}

TEST(BoaLayer, equals_gptq_on_the_flattened_head_with_the_kronecker_product) {  // T17
  for (std::uint64_t seed = 0; seed < 20; ++seed) {
    at::manual_seed(seed);
    const at::Tensor column = random_moments({}, 8), row = random_moments({1}, 5);
    const at::Tensor weight = at::randn({5, 8}, at::kDouble);
    const Options options{.bits = 3, .grid = quant::RangeSearch::kMinMax, .damping = 0};
    const quant::LayerResult ours = quantize_layer(weight, column, row, options, "layer");
    // One row of 40 columns, each with the pair of the row that it came from.
    quant::Grid flat = ours.layer.grid;
    flat.group = 8;
    flat.scale = flat.scale.reshape({1, 5});
    flat.zero = flat.zero.reshape({1, 5});
    const quant::ColumnResult dense = quant::gptq_columns(
        weight.reshape({1, 40}), quant::inverse_factor(at::kron(row[0], column), "dense"), flat);
    EXPECT_TRUE(ours.layer.code.to(at::kDouble).equal(dense.code.reshape({5, 8}))) << seed;
    const at::Tensor difference = ours.weight - weight;
    EXPECT_NEAR(ours.loss, two_sided(difference, column, row[0]) / 2, 1e-9 * ours.loss) << seed;
  }
}

TEST(BoaLayer, beats_gptq_in_the_two_sided_loss_on_average) {  // T19
  double logarithms = 0;
  int smaller = 0;
  for (std::uint64_t seed = 0; seed < 200; ++seed) {
    at::manual_seed(seed);
    const at::Tensor column = random_moments({}, 7), row = random_moments({1}, 5);
    const at::Tensor weight = at::randn({5, 7}, at::kDouble);
    const Options options{.bits = 3, .grid = quant::RangeSearch::kMinMax};
    const double boa = two_sided(quantize_layer(weight, column, row, options, "l").weight - weight,
                                 column, row[0]);
    const double gptq =
        two_sided(quantize_layer(weight, column, {}, options, "l").weight - weight, column, row[0]);
    logarithms += std::log(boa / gptq);
    smaller += boa < gptq ? 1 : 0;
  }
  EXPECT_GT(std::exp(logarithms / 200), 0.60);
  EXPECT_LT(std::exp(logarithms / 200), 0.85);
  EXPECT_GT(smaller, 130);
}

TEST(BoaLayer, orders_are_undone) {  // T21
  at::manual_seed(5);
  const at::Tensor column = at::diag(at::arange(1, 9, at::kDouble)).expand({2, 8, 8});
  const at::Tensor row = at::diag(at::arange(1, 5, at::kDouble)).expand({2, 4, 4});
  const at::Tensor weight = at::randn({8, 8}, at::kDouble);
  const quant::LayerResult plain = quantize_layer(weight, column, row, {.bits = 3}, "layer");
  const quant::LayerResult ordered = quantize_layer(
      weight, column, row, {.bits = 3, .act_order_columns = true, .act_order_rows = true}, "layer");
  EXPECT_TRUE(plain.layer.code.equal(ordered.layer.code));
  EXPECT_TRUE(plain.layer.grid.scale.equal(ordered.layer.grid.scale));
}

TEST(BoaLayer, one_head_dead_inputs_and_silent_heads_are_no_special_cases) {
  at::manual_seed(6);
  at::Tensor column = random_moments({1}, 8);
  column.select(1, 3).zero_();
  column.select(2, 3).zero_();
  at::Tensor row = random_moments({1}, 4);
  const at::Tensor weight = at::randn({4, 8}, at::kDouble);
  const quant::LayerResult one = quantize_layer(weight, column, row, {.bits = 3}, "layer");
  EXPECT_EQ(one.layer.code.sizes(), weight.sizes());
  EXPECT_EQ(one.weight.select(1, 3).abs().max().item<double>(), 0);
  const quant::LayerResult silent =
      quantize_layer(weight, column, at::zeros_like(row), {.bits = 3}, "layer");
  EXPECT_TRUE(
      silent.layer.code.equal(quantize_layer(weight, column, {}, {.bits = 3}, "layer").layer.code));
}

TEST(BoaLayer, groups_of_columns_have_their_own_grids) {
  double logarithms = 0;
  for (std::uint64_t seed = 0; seed < 40; ++seed) {
    at::manual_seed(seed);
    const at::Tensor column = random_moments({}, 16), row = random_moments({2}, 3);
    // Columns of unlike sizes, which one grid a row serves badly.
    const at::Tensor weight =
        at::randn({6, 16}, at::kDouble) * at::exp(at::arange(16, at::kDouble) / 8);
    const quant::LayerResult grouped =
        quantize_layer(weight, column, row, {.bits = 3, .group = 4}, "layer");
    EXPECT_EQ(grouped.layer.grid.scale.sizes(), (std::vector<std::int64_t>{6, 4}));
    EXPECT_TRUE(grouped.weight.equal(quant::decode(grouped.layer.code, grouped.layer.grid)));
    logarithms +=
        std::log(grouped.loss / quantize_layer(weight, column, row, {.bits = 3}, "layer").loss);
  }
  EXPECT_LT(std::exp(logarithms / 40), 0.8);
}

}  // namespace
}  // namespace assay::boa
