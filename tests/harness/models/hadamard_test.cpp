#include "harness/models/hadamard.h"

#include <ATen/ATen.h>
#include <c10/core/GradMode.h>
#include <c10/core/InferenceMode.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "harness/models/block_rotation.h"
#include "tests/harness/models/network_cases.h"
#include "tests/support/refusal.h"

namespace assay::models {
namespace {

using ::testing::HasSubstr;
using testing::refusal;

double distance(const at::Tensor& a, const at::Tensor& b) {
  return (a - b).abs().max().item<double>();
}

at::Tensor identity(std::int64_t size) { return at::eye(size, at::kDouble); }

TEST(Hadamard, bases_have_entries_of_one_and_orthogonal_rows) {
  for (const std::int64_t size : {12, 20, 28, 36, 40, 52, 60, 108, 140, 156, 172}) {
    const at::Tensor h = hadamard_base(size);
    ASSERT_EQ(h.sizes().vec(), (std::vector<std::int64_t>{size, size}));
    EXPECT_TRUE(h.abs().eq(1).all().item<bool>()) << size;
    EXPECT_TRUE(at::matmul(h, h.t()).equal(identity(size) * static_cast<double>(size))) << size;
  }
  EXPECT_THAT(refusal([] { hadamard_base(44); }), HasSubstr("size 44 is constructed"));
}

TEST(Hadamard, matrices_are_orthogonal_with_entries_of_one_size) {
  for (const std::int64_t size : {1, 2, 8, 12, 24, 96, 256, 344, 384, 576, 768, 1536}) {
    const at::Tensor h = hadamard_matrix(size);
    EXPECT_LT(distance(at::matmul(h, h.t()), identity(size)), 1e-12) << size;
    EXPECT_LT(distance(h.square() * static_cast<double>(size), at::ones_like(h)), 1e-12) << size;
  }
}

TEST(Hadamard, sylvester_s_matrix_counts_common_bits) {
  const at::Tensor h = hadamard_matrix(64) * 8;
  for (int i = 0; i < 64; ++i) {
    for (int j = 0; j < 64; ++j) {
      EXPECT_NEAR(h[i][j].item<double>(), __builtin_popcount(i & j) % 2 == 0 ? 1 : -1, 1e-12);
    }
  }
}

TEST(Hadamard, the_product_is_that_with_the_matrix) {
  const c10::NoGradGuard no_grad;
  for (const std::int64_t size : {1, 4, 12, 64, 96, 256, 344, 576, 1536}) {
    const Hadamard hadamard(size);
    const at::Tensor x = hash_values("x", {3, 5, size});
    const at::Tensor h = hadamard_matrix(size);
    EXPECT_LT(distance(hadamard(x), at::matmul(x, h.t())), 1e-12) << size;
    EXPECT_LT(distance(hadamard.inverse(hadamard(x)), x), 1e-12) << size;
    EXPECT_LT(distance(hadamard(x.to(at::kFloat)).to(at::kDouble), hadamard(x)), 1e-5) << size;
    EXPECT_LT(distance(hadamard(x.to(at::kBFloat16)).to(at::kDouble), hadamard(x)), 0.05) << size;
    EXPECT_EQ(hadamard(x.to(at::kBFloat16)).scalar_type(), at::kBFloat16);
  }
}

TEST(Hadamard, gradients_pass_also_after_inference_mode) {
  const Hadamard hadamard(24);
  {
    const c10::InferenceMode inference;
    hadamard(hash_values("x", {2, 24}));
  }
  const at::Tensor x = hash_values("x", {2, 24}).set_requires_grad(true);
  const at::Tensor wanted = hash_values("g", {2, 24});
  (hadamard(x) * wanted).sum().backward();
  EXPECT_LT(distance(x.grad(), hadamard.inverse(wanted)), 1e-12);
}

TEST(Hadamard, sizes_without_a_construction_are_refused_by_name) {
  for (const std::int64_t size : {3, 6, 9, 10, 18, 44, 92, 100, 3 * 172}) {
    EXPECT_FALSE(has_hadamard(size)) << size;
  }
  EXPECT_THAT(refusal([] { Hadamard(100); }),
              HasSubstr("is 100, and no Hadamard matrix of that size is known here: sizes are "
                        "powers of two, and 12, 20, 40, 28, 36"));
  EXPECT_THAT(refusal([] { BlockRotation(2, 8, 100); }), HasSubstr("the width of the MLP is 100"));
  EXPECT_THAT(refusal([] { BlockRotation(7, 10, 64); }),
              HasSubstr("the width of the heads together is 70"));
}

// With a matrix over heads; without (9 heads); with heads that have none (6 channels).
TEST(BlockRotation, what_runs_and_what_is_folded_are_one_rotation_of_all_heads) {
  const c10::NoGradGuard no_grad;
  for (const auto& [heads, dim] :
       {std::pair<std::int64_t, std::int64_t>{4, 24}, {12, 8}, {1, 16}, {9, 64}, {6, 4}, {4, 6}}) {
    const BlockRotation rotation(heads, dim, 20);
    const std::int64_t n = heads * dim;
    EXPECT_EQ(rotation.turns_heads(), dim != 6);
    const at::Tensor x = hash_values("x", {2, 3, n});
    const at::Tensor turned = rotation.head(x.reshape({2, 3, heads, dim})).reshape({2, 3, n});
    EXPECT_LT(distance(rotation.joined(turned), rotation.whole(x)), 1e-12) << heads;
    EXPECT_LT(distance(rotation.joined_back(rotation.joined(x)), x), 1e-12) << heads;
    EXPECT_LT(
        distance(rotation.head_back(rotation.head(x.reshape({-1, dim}))), x.reshape({-1, dim})),
        1e-12);
    // Every channel reaches every other one with the same weight.
    const at::Tensor matrix = rotation.whole(identity(n));
    EXPECT_LT(distance(matrix.square() * static_cast<double>(n), at::ones_like(matrix)), 1e-9);
    EXPECT_LT(distance(at::matmul(matrix, matrix.t()), identity(n)), 1e-12);
  }
}

}  // namespace
}  // namespace assay::models
