#include "methods/aespa/rounding.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include "methods/quant/grid_search.h"

namespace assay::aespa {
namespace {

at::Tensor random_moments(std::vector<std::int64_t> shape) {
  const std::int64_t n = shape.back();
  shape.push_back(3 * n);
  const at::Tensor x = at::randn(shape, at::kDouble);
  return at::matmul(x, x.transpose(-2, -1)) / static_cast<double>(n);
}

// Two heads of three rows and eight columns, four bits.
RoundingProblem small_problem(bool rows) {
  at::manual_seed(7);
  RoundingProblem problem{.weight = at::randn({2, 3, 8}, at::kDouble)};
  const quant::Grid grid = quant::find_grid(problem.weight, {.bits = 4});
  problem.base = problem.weight;
  problem.step = grid.scale;
  problem.zero = grid.zero;
  problem.column = random_moments({8});
  if (rows) problem.row = random_moments({2, 3});
  return problem;
}

TEST(Rounding, soft_rounding_and_its_inverse) {  // T10
  const at::Tensor parts = at::linspace(0, 1, 101, at::kDouble);
  EXPECT_TRUE(soft_rounding(inverse_soft_rounding(parts)).allclose(parts, 0, 1e-12));
  EXPECT_NEAR(inverse_soft_rounding(at::zeros({}, at::kDouble)).item<double>(), -2.397895, 1e-6);
  EXPECT_NEAR(inverse_soft_rounding(at::full({}, 0.25, at::kDouble)).item<double>(), -0.887303,
              1e-6);
}

// The objective as a user would write it, for gradients by differences.
double objective(const RoundingProblem& problem, const at::Tensor& variable, double weight,
                 double beta) {
  const at::Tensor h = soft_rounding(variable);
  const at::Tensor code =
      (at::floor(problem.base / problem.step) + h + problem.zero).clamp(0, problem.qmax);
  return rounding_loss(problem, code) +
         weight * (1 - (2 * h - 1).abs().pow(beta)).sum().item<double>();
}

TEST(Rounding, steps_are_adams_on_the_objective) {
  for (const bool rows : {false, true}) {
    RoundingProblem problem = small_problem(rows);
    constexpr double kRate = 0.015;
    // The first step of Adam moves every value by the rate against the sign of its gradient.
    const at::Tensor start =
        inverse_soft_rounding(problem.base / problem.step - at::floor(problem.base / problem.step));
    const at::Tensor moved = learn_rounding(
        problem, {.iterations = 10, .end = 1, .learning_rate = kRate, .weight = 0.3, .warm_up = 0});
    int checked = 0;
    for (std::int64_t i = 0; i < start.numel(); ++i) {
      at::Tensor plus = start.clone(), minus = start.clone();
      plus.view(-1)[i] += 1e-5;
      minus.view(-1)[i] -= 1e-5;
      const double gradient =
          (objective(problem, plus, 0.3, 20) - objective(problem, minus, 0.3, 20)) / 2e-5;
      if (std::abs(gradient) < 1e-4) continue;
      const double step = (moved - start).view(-1)[i].item<double>();
      EXPECT_NEAR(step, gradient > 0 ? -kRate : kRate, 1e-3 * kRate) << i;
      ++checked;
    }
    EXPECT_GT(checked, 30);
  }
}

TEST(Rounding, learning_lowers_the_loss_and_decides) {  // T11
  for (const bool rows : {false, true}) {
    const RoundingProblem problem = small_problem(rows);
    const at::Tensor nearest =
        at::clamp(at::round(problem.base / problem.step) + problem.zero, 0, problem.qmax);
    const at::Tensor variable = learn_rounding(problem, {.weight = 0.3});
    EXPECT_LT(rounding_loss(problem, rounded_codes(problem, variable)),
              rounding_loss(problem, nearest));
    const at::Tensor h = soft_rounding(variable);
    EXPECT_GT(at::minimum(h, 1 - h).le(0.01).to(at::kDouble).mean().item<double>(), 0.95);
  }
}

// Rows that stand alone, of one matrix of moments or of one a head, wide enough to have undecided
// values for long.
RoundingProblem wide_problem(bool by_head, at::ScalarType type) {
  at::manual_seed(11);
  RoundingProblem problem{.weight = at::randn({2, 24, 72}, at::kDouble).to(type)};
  const quant::Grid grid = quant::find_grid(problem.weight, {.bits = 3});
  problem.base = problem.weight;
  problem.step = grid.scale;
  problem.zero = grid.zero;
  problem.qmax = 7;
  problem.column =
      (by_head ? random_moments({2, 72}) : random_moments({72})).to(type) * (by_head ? 2 : 0.5);
  return problem;
}

TEST(Rounding, leaving_out_what_is_decided_changes_no_code) {
  for (const bool by_head : {false, true}) {
    const RoundingProblem problem = wide_problem(by_head, at::kDouble);
    constexpr std::int64_t kIterations = 800;
    // With an end given every value is moved in every iteration.
    const at::Tensor all = learn_rounding(problem, {.iterations = kIterations, .end = kIterations});
    const at::Tensor undecided = learn_rounding(problem, {.iterations = kIterations});
    EXPECT_FALSE(all.equal(undecided));  // or nothing was left out
    EXPECT_TRUE(all.ge(0).equal(undecided.ge(0)));
    // In float32 rounding noise may decide single values.
    const RoundingProblem narrow = wide_problem(by_head, at::kFloat);
    const at::Tensor narrow_all =
        learn_rounding(narrow, {.iterations = kIterations, .end = kIterations});
    const at::Tensor same =
        narrow_all.ge(0).eq(learn_rounding(narrow, {.iterations = kIterations}).ge(0));
    EXPECT_GE(same.to(at::kDouble).mean().item<double>(), 0.999);
  }
}

TEST(Rounding, both_widths_agree_as_long_as_rounding_lets_them) {
  const RoundingProblem wide = small_problem(true);
  RoundingProblem narrow = wide;
  for (at::Tensor* each :
       {&narrow.weight, &narrow.base, &narrow.step, &narrow.zero, &narrow.column, &narrow.row}) {
    *each = each->to(at::kFloat);
  }
  const RoundingOptions options{.iterations = 200, .end = 60};
  EXPECT_TRUE(learn_rounding(narrow, options)
                  .to(at::kDouble)
                  .allclose(learn_rounding(wide, options), 1e-3, 1e-3));
}

TEST(Rounding, every_iteration_is_told_and_may_end_the_work) {
  std::int64_t told = 0;
  learn_rounding(small_problem(false),
                 {.iterations = 5, .stepped = [&](std::int64_t done) { EXPECT_EQ(done, ++told); }});
  EXPECT_EQ(told, 5);
}

}  // namespace
}  // namespace assay::aespa
