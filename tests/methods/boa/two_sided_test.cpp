#include "methods/quant/two_sided.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <cmath>

#include "harness/base/error.h"
#include "methods/gptq/layer.h"
#include "methods/quant/factor.h"

namespace assay::quant {
namespace {

at::Tensor random_moments(const std::vector<std::int64_t>& batch, std::int64_t n) {
  std::vector<std::int64_t> shape = batch;
  shape.insert(shape.end(), {n, 4 * n});
  std::vector<std::int64_t> mix = batch;
  mix.insert(mix.end(), {n, n});
  const at::Tensor x = at::matmul(at::randn(mix, at::kDouble), at::randn(shape, at::kDouble));
  return at::matmul(x, x.transpose(-2, -1));
}

LayerResult quantize_layer(const at::Tensor& weight, const at::Tensor& column,
                           const at::Tensor& row, const TwoSidedOptions& options) {
  return quantize_two_sided(
      weight, {.layer = {.name = "layer"}, .column = column, .row = row, .length = 2048}, options);
}

double two_sided(const at::Tensor& difference, const at::Tensor& column, const at::Tensor& row) {
  return (at::matmul(row, difference) * at::matmul(difference, column)).sum().item<double>();
}

TEST(TwoSided, rows_that_nothing_couples_are_gptq) {  // T16
  at::manual_seed(1);
  const at::Tensor column = random_moments({}, 20), weight = at::randn({12, 20}, at::kDouble);
  const at::Tensor identity = at::eye(6, at::kDouble).mul(3.7).expand({2, 6, 6});
  for (const bool ordered : {false, true}) {
    const TwoSidedOptions options{.bits = 2, .act_order_columns = ordered};
    const LayerResult ours = quantize_layer(weight, column, identity, options);
    const LayerResult gptq = gptq::quantize_layer(
        weight, column,
        {.bits = 2, .grid = RangeSearch::kHessian, .act_order = ordered, .dead_value = 1.0 / 2048},
        "layer");
    EXPECT_TRUE(ours.layer.code.equal(gptq.layer.code));
    EXPECT_TRUE(ours.layer.grid.scale.equal(gptq.layer.grid.scale));
    const LayerResult without = quantize_layer(weight, column, {}, options);
    EXPECT_TRUE(without.layer.code.equal(gptq.layer.code));
    EXPECT_NEAR(without.loss, gptq.loss, 1e-9 * gptq.loss);
  }
}

TEST(TwoSided, equals_gptq_on_the_flattened_head_with_the_kronecker_product) {  // T17
  for (std::uint64_t seed = 0; seed < 20; ++seed) {
    at::manual_seed(seed);
    const at::Tensor column = random_moments({}, 8), row = random_moments({1}, 5);
    const at::Tensor weight = at::randn({5, 8}, at::kDouble);
    const TwoSidedOptions options{.bits = 3, .grid = RangeSearch::kMinMax, .damping = 0};
    const LayerResult ours = quantize_layer(weight, column, row, options);
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

TEST(TwoSided, beats_gptq_in_the_two_sided_loss_on_average) {  // T19
  double logarithms = 0;
  int smaller = 0;
  for (std::uint64_t seed = 0; seed < 200; ++seed) {
    at::manual_seed(seed);
    const at::Tensor column = random_moments({}, 7), row = random_moments({1}, 5);
    const at::Tensor weight = at::randn({5, 7}, at::kDouble);
    const TwoSidedOptions options{.bits = 3, .grid = RangeSearch::kMinMax};
    const double boa =
        two_sided(quantize_layer(weight, column, row, options).weight - weight, column, row[0]);
    const double gptq =
        two_sided(quantize_layer(weight, column, {}, options).weight - weight, column, row[0]);
    logarithms += std::log(boa / gptq);
    smaller += boa < gptq ? 1 : 0;
  }
  EXPECT_GT(std::exp(logarithms / 200), 0.60);
  EXPECT_LT(std::exp(logarithms / 200), 0.85);
  EXPECT_GT(smaller, 130);
}

TEST(TwoSided, several_rows_at_a_time) {  // T20
  at::manual_seed(8);
  const at::Tensor column = random_moments({}, 8), row = random_moments({2}, 6);
  const at::Tensor weight = at::randn({12, 8}, at::kDouble);
  const TwoSidedOptions one{.bits = 2, .grid = RangeSearch::kMinMax};
  const auto with_rows = [&](std::int64_t rows, bool adaptive) {
    TwoSidedOptions options = one;
    options.rows_per_step = rows;
    options.adaptive_grid = adaptive;
    return quantize_layer(weight, column, row, options);
  };
  // All rows of a head at a time: nothing is moved between them.
  EXPECT_TRUE(
      with_rows(6, false).layer.code.equal(quantize_layer(weight, column, {}, one).layer.code));
  EXPECT_TRUE(with_rows(100, false).layer.code.equal(with_rows(6, false).layer.code));
  EXPECT_FALSE(with_rows(1, true).layer.grid.scale.equal(with_rows(1, false).layer.grid.scale));
  double two = 0, four = 0;
  for (std::uint64_t seed = 0; seed < 100; ++seed) {
    at::manual_seed(seed);
    const at::Tensor c = random_moments({}, 7), r = random_moments({1}, 6);
    const at::Tensor w = at::randn({6, 7}, at::kDouble);
    TwoSidedOptions options{.bits = 3, .grid = RangeSearch::kMinMax};
    const double base = quantize_layer(w, c, r, options).loss;
    options.rows_per_step = 2;
    two += std::log(quantize_layer(w, c, r, options).loss / base);
    options.rows_per_step = 4;
    four += std::log(quantize_layer(w, c, r, options).loss / base);
  }
  EXPECT_GT(two, 0);  // some loss for speed
  EXPECT_LT(std::exp(two / 100), 1.2);
  EXPECT_GT(four, two);
}

TEST(TwoSided, refined_scales_never_raise_the_loss) {
  for (std::uint64_t seed = 0; seed < 30; ++seed) {
    at::manual_seed(seed);
    const at::Tensor column = random_moments({}, 8), weight = at::randn({12, 8}, at::kDouble);
    for (const at::Tensor& row : {random_moments({2}, 6), at::Tensor()}) {
      TwoSidedOptions options{.bits = 2};
      double last = quantize_layer(weight, column, row, options).loss;
      for (const std::int64_t sweeps : {1, 2, 5}) {
        options.refine_sweeps = sweeps;
        const double loss = quantize_layer(weight, column, row, options).loss;
        EXPECT_LE(loss, last * (1 + 1e-12)) << seed;
        last = loss;
      }
    }
  }
}

TEST(TwoSided, errors_of_the_inputs_are_aimed_at) {
  at::manual_seed(9);
  const at::Tensor column = random_moments({}, 8), row = random_moments({2}, 6);
  const at::Tensor weight = at::randn({12, 8}, at::kDouble);
  LayerMoments moments{.layer = {.name = "layer"}, .column = column, .row = row, .length = 2048};
  TwoSidedOptions options{.bits = 3, .alpha = 0.25};
  const at::Tensor plain = quantize_two_sided(weight, moments, options).layer.code;
  moments.upstream = at::zeros({8, 8}, at::kDouble);
  EXPECT_TRUE(quantize_two_sided(weight, moments, options).layer.code.equal(plain));
  moments.upstream = at::randn({8, 8}, at::kDouble) * column.diagonal().mean();
  EXPECT_FALSE(quantize_two_sided(weight, moments, options).layer.code.equal(plain));
  // What it lowers: tr(row (dW column dW^T - 2 W R dW^T)), on average.
  double lower = 0;
  for (std::uint64_t seed = 0; seed < 60; ++seed) {
    at::manual_seed(seed);
    const at::Tensor x =
        at::matmul(at::randn({8, 8}, at::kDouble), at::randn({8, 40}, at::kDouble));
    const at::Tensor moved = at::matmul(at::randn({8, 8}, at::kDouble) * 0.2, x);
    const at::Tensor w = at::randn({6, 8}, at::kDouble);
    LayerMoments seen{.layer = {.name = "layer"},
                      .column = at::matmul(x, x.t()),
                      .upstream = at::matmul(moved, x.t()),
                      .length = 2048};
    const auto objective = [&](double alpha) {
      const at::Tensor d = quantize_two_sided(w, seen, {.bits = 4, .alpha = alpha}).weight - w;
      return (at::matmul(d, seen.column) * d - 2 * at::matmul(w, seen.upstream) * d)
          .sum()
          .item<double>();
    };
    lower += objective(1) < objective(0) ? 1 : 0;
  }
  EXPECT_GT(lower, 50);
}

TEST(TwoSided, what_does_not_go_together_is_refused) {
  at::manual_seed(10);
  const at::Tensor column = random_moments({}, 8), weight = at::randn({4, 8}, at::kDouble);
  for (const TwoSidedOptions& options : {TwoSidedOptions{.group = 4, .act_order_columns = true},
                                         TwoSidedOptions{.group = 4, .refine_sweeps = 1}}) {
    EXPECT_THROW(quantize_layer(weight, column, {}, options), Error);
  }
}

TEST(TwoSided, orders_are_undone) {  // T21
  at::manual_seed(5);
  const at::Tensor column = at::diag(at::arange(1, 9, at::kDouble)).expand({2, 8, 8});
  const at::Tensor row = at::diag(at::arange(1, 5, at::kDouble)).expand({2, 4, 4});
  const at::Tensor weight = at::randn({8, 8}, at::kDouble);
  const LayerResult plain = quantize_layer(weight, column, row, {.bits = 3});
  const LayerResult ordered = quantize_layer(
      weight, column, row, {.bits = 3, .act_order_columns = true, .act_order_rows = true});
  EXPECT_TRUE(plain.layer.code.equal(ordered.layer.code));
  EXPECT_TRUE(plain.layer.grid.scale.equal(ordered.layer.grid.scale));
}

TEST(TwoSided, one_head_dead_inputs_and_silent_heads_are_no_special_cases) {
  at::manual_seed(6);
  at::Tensor column = random_moments({1}, 8);
  column.select(1, 3).zero_();
  column.select(2, 3).zero_();
  at::Tensor row = random_moments({1}, 4);
  const at::Tensor weight = at::randn({4, 8}, at::kDouble);
  const LayerResult one = quantize_layer(weight, column, row, {.bits = 3});
  EXPECT_EQ(one.layer.code.sizes(), weight.sizes());
  EXPECT_EQ(one.weight.select(1, 3).abs().max().item<double>(), 0);
  const LayerResult silent = quantize_layer(weight, column, at::zeros_like(row), {.bits = 3});
  EXPECT_TRUE(silent.layer.code.equal(quantize_layer(weight, column, {}, {.bits = 3}).layer.code));
}

TEST(TwoSided, groups_of_columns_have_their_own_grids) {
  double logarithms = 0;
  for (std::uint64_t seed = 0; seed < 40; ++seed) {
    at::manual_seed(seed);
    const at::Tensor column = random_moments({}, 16), row = random_moments({2}, 3);
    // Columns of unlike sizes, which one grid a row serves badly.
    const at::Tensor weight =
        at::randn({6, 16}, at::kDouble) * at::exp(at::arange(16, at::kDouble) / 8);
    const LayerResult grouped = quantize_layer(weight, column, row, {.bits = 3, .group = 4});
    EXPECT_EQ(grouped.layer.grid.scale.sizes(), (std::vector<std::int64_t>{6, 4}));
    EXPECT_TRUE(grouped.weight.equal(quant::decode(grouped.layer.code, grouped.layer.grid)));
    logarithms += std::log(grouped.loss / quantize_layer(weight, column, row, {.bits = 3}).loss);
  }
  EXPECT_LT(std::exp(logarithms / 40), 0.8);
}

}  // namespace
}  // namespace assay::quant
