#include "methods/quant/moments.h"

#include <ATen/ATen.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "methods/quant/chunk.h"
#include "methods/quant/factor.h"
#include "tests/support/refusal.h"

namespace assay::quant {
namespace {

using assay::testing::refusal;
using ::testing::HasSubstr;

at::Tensor hessian_in_chunks(const at::Tensor& x, std::int64_t size, MomentUnit unit) {
  MomentAccumulator moments;
  for (std::int64_t i = 0; i < chunk_count(x.size(0), size); ++i) {
    const Chunk chunk = chunk_of(x, i, size);
    moments.add(chunk.counted(chunk.rows));
  }
  return moments.hessian(unit);
}

double relative(const at::Tensor& a, const at::Tensor& b) {
  return ((a - b).norm() / b.norm()).item<double>();
}

TEST(Moments, streamed_equals_one_shot) {  // T4
  at::manual_seed(1);
  const at::Tensor x = at::randn({20, 7, 12}, at::kDouble);
  const at::Tensor flat = x.reshape({-1, 12});
  const at::Tensor whole = at::matmul(flat.t(), flat) * (2.0 / 140);
  for (const std::int64_t size : {1, 2, 8, 20}) {
    EXPECT_LT(relative(hessian_in_chunks(x, size, MomentUnit::kToken), whole), 1e-12);
    EXPECT_LT(
        relative(hessian_in_chunks(x.to(at::kFloat), size, MomentUnit::kToken).to(at::kDouble),
                 whole),
        1e-5);
    EXPECT_LT(relative(hessian_in_chunks(x.flip({0}), size, MomentUnit::kToken), whole), 1e-12);
  }
  EXPECT_LT(relative(hessian_in_chunks(x, 8, MomentUnit::kSequence), whole * 7), 1e-12);
}

TEST(Moments, of_many_features_are_those_of_one_product) {
  at::manual_seed(4);
  for (const std::int64_t features : {511, 512, 700, 1030}) {
    const at::Tensor x = at::randn({2, 30, features}, at::kDouble);
    const at::Tensor flat = x.reshape({-1, features});
    const at::Tensor made = hessian_in_chunks(x, 2, MomentUnit::kToken);
    EXPECT_LT(relative(made, at::matmul(flat.t(), flat) * (2.0 / 60)), 1e-12) << features;
  }
}

TEST(Moments, padding_does_not_count) {
  at::manual_seed(2);
  const at::Tensor x = at::randn({3, 4, 5}, at::kDouble);
  const Chunk chunk = chunk_of(x, 0, 8);
  EXPECT_EQ(chunk.rows.size(0), 8);
  EXPECT_TRUE(chunk.counted(chunk.rows).equal(x));
  // Windows of an image: two rows an image; a tensor that does not grow with the chunk counts
  // whole.
  EXPECT_EQ(chunk.counted(at::zeros({16, 2})).size(0), 6);
  EXPECT_EQ(chunk.counted(at::zeros({1, 2})).size(0), 1);
}

TEST(Moments, a_site_that_no_pass_reached_is_an_error) {
  MomentTap tap;
  tap.watch("fc.in");
  EXPECT_THAT(refusal([&] { tap.hessian("fc.in", MomentUnit::kToken); }),
              HasSubstr("method: second moments at 'fc.in'"));
  tap("fc.in", at::full({2, 3}, NAN));
  EXPECT_THAT(refusal([&] { tap.hessian("fc.in", MomentUnit::kToken); }), HasSubstr("NaN"));
}

at::Tensor positive_definite(std::int64_t d, std::uint64_t seed) {
  at::manual_seed(seed);
  const at::Tensor x = at::randn({d, 3 * d}, at::kDouble);
  return at::matmul(x, x.t());
}

TEST(InverseFactor, both_recipes_give_the_same_factor) {
  const at::Tensor h = positive_definite(17, 3);
  const at::Tensor u = inverse_factor(h, "test");
  const at::Tensor other = at::linalg_cholesky(at::cholesky_inverse(at::linalg_cholesky(h)), true);
  EXPECT_LT((u - other).abs().max().item<double>(), 1e-10);
  EXPECT_TRUE(u.equal(u.triu()));
  EXPECT_LT(relative(at::matmul(at::matmul(u, h), u.t()), at::eye(17, at::kDouble)), 1e-12);
}

TEST(InverseFactor, gold_vectors) {  // T3 and the GPTQ page
  const at::Tensor two = at::tensor({2., 1., 1., 2.}, at::kDouble).reshape({2, 2});
  EXPECT_TRUE(inverse_factor(two, "t").allclose(
      at::tensor({0.816497, -0.408248, 0., 0.707107}, at::kDouble).reshape({2, 2}), 0, 1e-6));
  const at::Tensor three =
      at::tensor({4., 2., 1., 2., 3., .5, 1., .5, 2.}, at::kDouble).reshape({3, 3});
  EXPECT_TRUE(inverse_factor(three, "t")
                  .allclose(at::tensor({0.640870, -0.390095, -0.222911, 0., 0.589768, -0.147442, 0.,
                                        0., 0.707107},
                                       at::kDouble)
                                .reshape({3, 3}),
                            0, 1e-6));
}

TEST(InverseFactor, a_batch_of_heads_keeps_its_dimension) {
  const at::Tensor h = at::stack({positive_definite(6, 4), positive_definite(6, 5)});
  const at::Tensor u = inverse_factor(h, "heads");
  EXPECT_EQ(u.sizes(), h.sizes());
  EXPECT_TRUE(u[1].allclose(inverse_factor(h[1], "head"), 0, 1e-12));
  EXPECT_EQ(inverse_factor(h.narrow(0, 0, 1), "one").dim(), 3);
}

TEST(InverseFactor, singular_moments_are_damped_and_hopeless_ones_refused) {
  const at::Tensor rank_one = at::ones({4, 4}, at::kDouble);
  EXPECT_TRUE(inverse_factor(rank_one, "fc1").isfinite().all().item<bool>());
  EXPECT_THAT(refusal([] {
                inverse_factor(at::full({3, 3}, NAN), "blocks.2.fc1");
              }),
              HasSubstr("method: the second moments of layer 'blocks.2.fc1'"));
}

TEST(DeadInputs, are_repaired_by_the_given_value) {
  at::Tensor h = positive_definite(4, 6);
  h[2].zero_(), h.select(1, 2).zero_();
  EXPECT_TRUE(dead_inputs(h).equal(at::tensor({0, 0, 1, 0}).to(at::kBool)));
  EXPECT_EQ(with_dead_repaired(h, 0.25)[2][2].item<double>(), 0.25);
  EXPECT_EQ(h[2][2].item<double>(), 0);
  const double mean = at::diagonal(h).mean().item<double>();
  EXPECT_NEAR(with_damping(h, 0.01)[2][2].item<double>(), 0.01 * mean, 1e-12);
}

}  // namespace
}  // namespace assay::quant
