#include "methods/psaq_vit/losses.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <cmath>

namespace assay::psaq_vit {
namespace {

at::Tensor values(std::initializer_list<double> list) {
  return at::tensor(std::vector<double>(list), at::kDouble).unsqueeze(0);
}

double entropy(const at::Tensor& similarity) {
  return similarity_entropy(similarity).item<double>();
}

TEST(PatchSimilarityEntropy, gold_vectors) {  // PS-T1
  const at::Tensor five = values({0, .25, .5, .75, 1});
  const at::Tensor p = estimate_density(five, {}).density + 1e-4;
  EXPECT_TRUE(p.allclose(
      values({7.97895, 1e-4, .16853, 1e-4, 1.0158e-4, 1.0158e-4, 1e-4, .16853, 1e-4, 7.97895}),
      1e-4, 1e-6));
  EXPECT_NEAR(entropy(five), -1.773888, 1e-6);
  EXPECT_NEAR(entropy(at::arange(10, at::kDouble).unsqueeze(0) / 9), -5.520190, 1e-6);
  EXPECT_NEAR(entropy(at::eye(3, at::kDouble).reshape({1, 9})), -6.758454, 1e-6);
  EXPECT_EQ(entropy(at::full({2, 9}, 0.7, at::kDouble)), 0);
}

at::Tensor tokens(std::uint64_t seed) {
  at::manual_seed(seed);
  return at::randn({2, 3, 5, 4}, at::kDouble);
}

TEST(PatchSimilarityEntropy, invariances) {  // PS-T2
  const at::Tensor av = tokens(1);
  const auto value = [](const at::Tensor& x) { return entropy(patch_similarity(x).flatten(1)); };
  EXPECT_NEAR(value(av.index_select(1, at::tensor({2, 0, 1}))), value(av), 1e-10);
  EXPECT_NEAR(value(av.index_select(2, at::tensor({0, 3, 1, 4, 2}))), value(av), 1e-10);
  EXPECT_NEAR(value(av * 7.5), value(av), 1e-10);
  const at::Tensor s = patch_similarity(av);
  EXPECT_TRUE(s.allclose(s.transpose(1, 2), 0, 1e-15));
  EXPECT_TRUE(at::diagonal(s, 0, 1, 2).allclose(at::ones({2, 4}, at::kDouble), 0, 1e-14));
}

// The grid's ends are constants: finite differences on a fixed grid.
TEST(PatchSimilarityEntropy, gradient_agrees_with_finite_differences) {  // PS-T2
  at::manual_seed(2);
  at::Tensor s = at::rand({2, 16}, at::kDouble);
  s = at::cat({s, at::tensor({-0.2, 1.1}, at::kDouble).expand({2, 2})}, 1).contiguous();
  const at::Tensor x = s.clone().set_requires_grad(true);
  similarity_entropy(x).backward();
  for (std::int64_t i = 0; i < 16; ++i) {  // the last two fix the grid
    at::Tensor up = s.clone(), down = s.clone();
    up[1][i] += 1e-6, down[1][i] -= 1e-6;
    EXPECT_NEAR(x.grad()[1][i].item<double>(), (entropy(up) - entropy(down)) / 2e-6, 1e-5);
  }
}

TEST(PatchSimilarityEntropy, equal_similarities_have_no_gradient) {
  const at::Tensor x = at::full({2, 9}, 0.7, at::kDouble).set_requires_grad(true);
  similarity_entropy(x).backward();
  EXPECT_EQ(x.grad().abs().max().item<double>(), 0);
}

TEST(TotalVariation, ramp_and_white_noise) {  // PS-T4, PS-T5
  EXPECT_NEAR(total_variation(at::arange(16, at::kDouble).reshape({1, 1, 4, 4})).item<double>(),
              41.320508, 1e-6);
  at::manual_seed(3);
  const double b = 8, h = 64, w = 64;
  const at::Tensor noise = at::randn({8, 3, 64, 64}, at::kDouble);
  const double expected =
      2 * std::sqrt(2 * b * 3 * h * (w - 1)) + 2 * std::sqrt(2 * b * 3 * (h - 1) * (w - 1));
  EXPECT_NEAR(total_variation(noise).item<double>() / expected, 1, 0.01);
  EXPECT_NEAR(total_variation(at::flip(noise, {3})).item<double>(),
              total_variation(noise).item<double>(), 1e-9);
}

TEST(TotalVariation, published_target_is_for_the_published_shape) {
  EXPECT_EQ(target_scale({32, 3, 224, 224}), 1);
  EXPECT_NEAR(target_scale({4, 3, 32, 32}) * 2750, 1.253 * std::sqrt(4 * 3 * 32 * 32), 0.2);
}

}  // namespace
}  // namespace assay::psaq_vit
