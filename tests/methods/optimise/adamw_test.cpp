#include "methods/optimise/adamw.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <cmath>

#include "harness/base/error.h"

namespace assay::optimise {
namespace {

Trainable parameter(const std::vector<double>& values, bool decays) {
  return {"w", at::tensor(values, at::kDouble).set_requires_grad(true), decays};
}

void set_gradient(Trainable& p, const std::vector<double>& gradient) {
  p.tensor.mutable_grad() = at::tensor(gradient, at::kDouble);
}

// The formulas of the paper, one number at a time.
std::vector<double> naive(std::vector<double> w, const std::vector<std::vector<double>>& gradients,
                          const AdamWOptions& o, double lr, bool decays) {
  std::vector<double> m(w.size()), v(w.size());
  for (std::size_t t = 1; t <= gradients.size(); ++t) {
    for (std::size_t i = 0; i < w.size(); ++i) {
      const double g = gradients[t - 1][i];
      m[i] = o.beta1 * m[i] + (1 - o.beta1) * g;
      v[i] = o.beta2 * v[i] + (1 - o.beta2) * g * g;
      const double mean = m[i] / (1 - std::pow(o.beta1, t));
      const double variance = v[i] / (1 - std::pow(o.beta2, t));
      const double decay = decays ? o.weight_decay * w[i] : 0;
      w[i] -= lr * (mean / (std::sqrt(variance) + o.epsilon) + decay);
    }
  }
  return w;
}

class AdamWFormula : public testing::TestWithParam<bool> {};

TEST_P(AdamWFormula, equals_a_naive_loop) {
  const std::vector<double> start{0.5, -1.25, 3.0};
  const std::vector<std::vector<double>> gradients{
      {0.1, -0.2, 0.3}, {-0.4, 0.05, 1e-6}, {2.0, 0.0, -0.7}, {0.01, 0.3, 0.2}};
  const AdamWOptions options{0.9, 0.95, 1e-6, 0.1};
  Trainable p = parameter(start, GetParam());
  AdamW optimiser({p}, options);
  for (const auto& gradient : gradients) {
    set_gradient(p, gradient);
    optimiser.step(0.02);
  }
  const std::vector<double> expected = naive(start, gradients, options, 0.02, GetParam());
  for (std::size_t i = 0; i < start.size(); ++i)
    EXPECT_NEAR(p.tensor[static_cast<std::int64_t>(i)].item<double>(), expected[i], 1e-13);
}

INSTANTIATE_TEST_SUITE_P(WithAndWithoutDecay, AdamWFormula, testing::Bool());

TEST(AdamW, leaves_a_parameter_without_a_gradient_alone) {
  Trainable p = parameter({1.0, 2.0}, true);
  AdamW({p}, {}).step(0.1);
  EXPECT_TRUE(at::equal(p.tensor.detach(), at::tensor({1.0, 2.0}, at::kDouble)));
}

TEST(AdamW, goes_on_from_a_restored_state_with_the_same_bits) {
  Trainable a = parameter({1.0, 2.0}, true);
  AdamW first({a}, {});
  set_gradient(a, {0.3, -0.1});
  first.step(0.1);
  Trainable b{"w", a.tensor.detach().clone().set_requires_grad(true), true};
  AdamW second({b}, {});
  second.restore(first.state(), first.steps());
  set_gradient(a, {0.2, 0.9});
  set_gradient(b, {0.2, 0.9});
  first.step(0.1);
  second.step(0.1);
  EXPECT_TRUE(at::equal(a.tensor.detach(), b.tensor.detach()));
}

TEST(AdamW, a_state_of_other_parameters_is_an_error) {
  AdamW optimiser({parameter({1.0}, true)}, {});
  EXPECT_THROW(optimiser.restore({}, 1), Error);
}

TEST(ClipGradients, scales_all_gradients_to_the_limit_and_returns_the_norm_before) {
  Trainable a = parameter({0.0}, true);
  Trainable b = parameter({0.0, 0.0}, true);
  set_gradient(a, {3.0});
  set_gradient(b, {0.0, 4.0});
  EXPECT_DOUBLE_EQ(clip_gradients({a, b}, 1.0), 5.0);
  EXPECT_DOUBLE_EQ(a.tensor.grad()[0].item<double>(), 3.0 / 5);
  EXPECT_DOUBLE_EQ(b.tensor.grad()[1].item<double>(), 4.0 / 5);
  EXPECT_NEAR(clip_gradients({a, b}, 0), 1.0, 1e-15);
  EXPECT_DOUBLE_EQ(a.tensor.grad()[0].item<double>(), 3.0 / 5);
}

}  // namespace
}  // namespace assay::optimise
