#include "methods/quant/columns.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <cmath>
#include <vector>

#include "methods/quant/factor.h"

namespace assay::quant {
namespace {

struct Problem {
  at::Tensor weight, hessian;
};

Problem random_problem(std::int64_t rows, std::int64_t columns, std::uint64_t seed) {
  at::manual_seed(seed);
  const at::Tensor mix = at::randn({columns, columns}, at::kDouble);
  const at::Tensor x = at::matmul(mix, at::randn({columns, 4 * columns}, at::kDouble));
  return {at::randn({rows, columns}, at::kDouble), with_damping(at::matmul(x, x.t()), 0.01)};
}

ColumnResult gptq(const Problem& problem, const Grid& grid, const ColumnOptions& options = {}) {
  return gptq_columns(problem.weight, inverse_factor(problem.hessian, "test"), grid, options);
}

double quadratic(const Problem& problem, const at::Tensor& value) {
  const at::Tensor delta = value - problem.weight;
  return (at::matmul(delta, problem.hessian) * delta).sum().item<double>();
}

// A grid that never clamps: step 0.5 around a zero point in the middle of 16 bits.
Grid unclamped(std::int64_t rows) {
  return {.bits = 16,
          .scale = at::full({rows, 1}, 0.5, at::kDouble),
          .zero = at::full({rows, 1}, 32768., at::kDouble)};
}

TEST(GptqColumns, with_a_multiple_of_identity_equals_round_to_nearest) {  // T2
  Problem problem = random_problem(6, 40, 1);
  problem.hessian = at::eye(40, at::kDouble) * 3.7;
  const Grid grid = find_grid(problem.weight, {.bits = 3});
  EXPECT_TRUE(gptq(problem, grid).code.equal(encode(problem.weight, grid)));
}

TEST(GptqColumns, two_columns_by_hand) {  // T3
  const Problem problem{at::tensor({0.62, 0.20}, at::kDouble).unsqueeze(0),
                        at::tensor({2., 1., 1., 2.}, at::kDouble).reshape({2, 2})};
  const Grid grid = unclamped(1);
  EXPECT_NEAR(quadratic(problem, fake_quantize(problem.weight, grid)), 0.1568, 1e-9);
  const ColumnResult result = gptq(problem, grid);
  EXPECT_NEAR(result.compensated[0][1].item<double>(), 0.26, 1e-9);
  EXPECT_TRUE(result.rounded.allclose(at::tensor({0.5, 0.5}, at::kDouble).unsqueeze(0), 0, 1e-9));
  EXPECT_NEAR(quadratic(problem, result.rounded), 0.1368, 1e-9);
}

TEST(GptqColumns, three_columns_gold) {
  const Problem problem{
      at::tensor({-0.19, 0.82, -0.91, 0.65, -0.17, 0.66}, at::kDouble).reshape({2, 3}),
      at::tensor({4., 2., 1., 2., 3., .5, 1., .5, 2.}, at::kDouble).reshape({3, 3})};
  const Grid grid = unclamped(2);
  EXPECT_TRUE(fake_quantize(problem.weight, grid)
                  .equal(at::tensor({0., 1., -1., .5, 0., .5}, at::kDouble).reshape({2, 3})));
  EXPECT_TRUE(
      gptq(problem, grid)
          .rounded.equal(at::tensor({0., .5, -1., .5, 0., .5}, at::kDouble).reshape({2, 3})));
}

TEST(GptqColumns, beats_round_to_nearest_on_average) {  // T5
  double sum = 0;
  for (std::uint64_t seed = 0; seed < 200; ++seed) {
    at::manual_seed(seed);
    // Correlated inputs: with white ones there is little to win.
    const at::Tensor mix = at::randn({7, 7}, at::kDouble);
    const at::Tensor x = at::matmul(mix, at::randn({7, 21}, at::kDouble));
    const Problem problem{at::randn({5, 7}, at::kDouble), at::matmul(x, x.t())};
    const Grid grid = find_grid(problem.weight, {.bits = 3});
    sum += std::log(quadratic(problem, gptq(problem, grid).rounded) /
                    quadratic(problem, fake_quantize(problem.weight, grid)));
  }
  const double ratio = std::exp(sum / 200);
  EXPECT_GT(ratio, 0.65);
  EXPECT_LT(ratio, 0.80);
}

// The definition: after each column the inverse of the remaining moments is computed anew.
TEST(GptqColumns, agrees_with_a_naive_loop_that_inverts_after_each_column) {
  const Problem problem = random_problem(4, 12, 2);
  const Grid grid = find_grid(problem.weight, {.bits = 3});
  at::Tensor weight = problem.weight.clone();
  at::Tensor expected = at::empty_like(weight);
  for (std::int64_t j = 0; j < 12; ++j) {
    const at::Tensor inverse =
        at::linalg_inv(problem.hessian.narrow(0, j, 12 - j).narrow(1, j, 12 - j));
    const at::Tensor code = encode(weight, grid).narrow(1, j, 1);
    expected.narrow(1, j, 1).copy_(code);
    const at::Tensor error =
        (weight.narrow(1, j, 1) - grid.scale * (code - grid.zero)) / inverse[0][0];
    weight.narrow(1, j, 12 - j).sub_(at::matmul(error, inverse.narrow(0, 0, 1)));
  }
  EXPECT_TRUE(gptq(problem, grid).code.equal(expected));
}

TEST(GptqColumns, block_size_does_not_matter) {
  const Problem problem = random_problem(5, 70, 3);
  const Grid rows = find_grid(problem.weight, {.bits = 3});
  const GridOptions groups{.bits = 3, .granularity = Granularity::kGroup, .group = 16};
  const Grid fixed = find_grid(problem.weight, groups);
  const auto run = [&](std::int64_t block, const Grid& grid) {
    return gptq(problem, grid, {.block = block}).code;
  };
  const auto run_current = [&](std::int64_t block) {
    return gptq(problem, {},
                {.block = block, .dynamic = groups, .source = GroupGridSource::kCurrent});
  };
  for (const std::int64_t block : {1, 7, 70}) {
    EXPECT_TRUE(run(block, rows).equal(run(128, rows))) << block;
    EXPECT_TRUE(run(block, fixed).equal(run(128, fixed))) << block;
    EXPECT_TRUE(run_current(block).code.equal(run_current(128).code)) << block;
    EXPECT_TRUE(run_current(block).grid.scale.allclose(run_current(128).grid.scale, 1e-12))
        << block;
  }
}

TEST(GptqColumns, block_start_grids_are_stale_inside_a_block) {
  const Problem problem = random_problem(8, 256, 4);
  const GridOptions groups{.bits = 3, .granularity = Granularity::kGroup, .group = 32};
  const Grid fixed = find_grid(problem.weight, groups);
  const Grid opened = gptq(problem, {}, {.dynamic = groups}).grid;
  EXPECT_TRUE(opened.scale.narrow(1, 0, 4).equal(fixed.scale.narrow(1, 0, 4)));
  for (std::int64_t group = 4; group < 8; ++group) {
    EXPECT_FALSE(opened.scale.select(1, group).equal(fixed.scale.select(1, group)));
  }
  const Grid current =
      gptq(problem, {}, {.dynamic = groups, .source = GroupGridSource::kCurrent}).grid;
  EXPECT_TRUE(current.scale.select(1, 0).equal(fixed.scale.select(1, 0)));
  EXPECT_FALSE(current.scale.select(1, 1).equal(fixed.scale.select(1, 1)));
}

TEST(GptqColumns, loss_is_half_the_quadratic_form_clamping_included) {
  const Problem problem = random_problem(6, 30, 5);
  for (const int bits : {2, 4}) {
    const ColumnResult result = gptq(problem, find_grid(problem.weight * 0.5, {.bits = bits}));
    EXPECT_NEAR(result.loss / (quadratic(problem, result.rounded) / 2), 1, 1e-9);
  }
}

TEST(GptqColumns, a_factor_of_the_column_is_one_pair_a_column) {
  const Problem problem = random_problem(5, 20, 12);
  Grid grid = find_grid(problem.weight, {.bits = 3});
  grid.zeta = at::rand({20}, at::kDouble) + 0.5;
  const Grid pairs{
      .bits = 3, .group = 1, .scale = step_of_columns(grid, 20), .zero = grid.zero.expand({5, 20})};
  const ColumnResult result = gptq(problem, grid);
  EXPECT_TRUE(result.code.equal(gptq(problem, pairs).code));
  EXPECT_TRUE(result.rounded.equal(decode(result.code, grid)));
  grid.zeta = at::Tensor();
  EXPECT_FALSE(result.code.equal(gptq(problem, grid).code));
}

TEST(GptqColumns, a_batch_of_heads_equals_each_head_alone) {
  const Problem a = random_problem(4, 20, 6), b = random_problem(4, 20, 7);
  const at::Tensor weight = at::stack({a.weight, b.weight});
  const at::Tensor factor = inverse_factor(at::stack({a.hessian, b.hessian}), "heads");
  const ColumnResult both =
      gptq_columns(weight, factor, find_grid(weight, {.bits = 3}), {.block = 6});
  EXPECT_TRUE(both.code[0].equal(gptq(a, find_grid(a.weight, {.bits = 3})).code));
  EXPECT_TRUE(both.code[1].equal(gptq(b, find_grid(b.weight, {.bits = 3})).code));
  const ColumnResult one = gptq_columns(weight.narrow(0, 0, 1), factor.narrow(0, 0, 1),
                                        find_grid(weight.narrow(0, 0, 1), {.bits = 3}));
  EXPECT_EQ(one.code.dim(), 3);
}

// A second leading dimension takes the way of ATen's own operations, which devices take too.
TEST(GptqColumns, one_pass_over_memory_gives_the_bits_of_single_operations) {
  for (const at::ScalarType type : {at::kFloat, at::kDouble}) {
    const Problem wide = random_problem(9, 150, 11);
    const at::Tensor weight = wide.weight.to(type);
    const at::Tensor factor = inverse_factor(wide.hessian.to(type), "test");
    const GridOptions groups{.bits = 3, .granularity = Granularity::kGroup, .group = 48};
    for (const bool dynamic : {false, true}) {
      const Grid grid = find_grid(weight, {.bits = 3});
      ColumnOptions options;
      if (dynamic) options.dynamic = groups;
      const ColumnResult fused = gptq_columns(weight, factor, grid, options);
      const ColumnResult single =
          gptq_columns(weight.unsqueeze(0).unsqueeze(0), factor, grid, options);
      EXPECT_TRUE(fused.code.equal(single.code[0][0]));
      EXPECT_TRUE(fused.compensated.equal(single.compensated[0][0]));
      EXPECT_TRUE(fused.error.equal(single.error[0][0]));
      EXPECT_TRUE(fused.rounded.equal(single.rounded[0][0]));
    }
  }
}

}  // namespace
}  // namespace assay::quant
