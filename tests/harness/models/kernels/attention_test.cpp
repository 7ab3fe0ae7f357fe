#include "harness/models/kernels/attention.h"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <c10/core/GradMode.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <vector>

#include "harness/models/kernels/usable.h"

namespace assay::models::kernels {
namespace {

class Attention : public ::testing::Test {
 protected:
  void SetUp() override {
    at::set_num_threads(1);
    if (!usable(at::zeros({1}))) GTEST_SKIP() << "this processor runs ATen's attention";
  }

  // Values of all sizes within `spread`, the same in every run.
  static at::Tensor some(const std::vector<std::int64_t>& shape, double spread, double phase) {
    std::int64_t count = 1;
    for (const std::int64_t extent : shape) count *= extent;
    return (at::arange(count, at::kDouble) * 0.7390851 + phase)
        .sin()
        .mul(spread)
        .to(at::kFloat)
        .view(shape);
  }

  // [B, H, T, d] views of memory laid out as [B, T, H, d].
  static at::Tensor heads(std::int64_t batch, std::int64_t count, std::int64_t tokens,
                          std::int64_t width, double spread, double phase) {
    return some({batch, tokens, count, width}, spread, phase).transpose(1, 2);
  }

  static at::Tensor exact(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v,
                          double scale, bool causal) {
    const auto wide = [](const at::Tensor& x) { return x.to(at::kDouble); };
    const at::Tensor keys = repeated(wide(k), q.size(1));
    at::Tensor logits = at::matmul(wide(q), keys.transpose(-2, -1)) * scale;
    if (causal) {
      const at::Tensor future = at::ones({q.size(2), k.size(2)}, at::kBool).triu(1);
      logits = logits.masked_fill(future, -std::numeric_limits<double>::infinity());
    }
    return at::matmul(logits.softmax(-1), repeated(wide(v), q.size(1)));
  }

  // The largest error of a result, as a share of the largest value.
  static double error(const at::Tensor& got, const at::Tensor& right) {
    return ((got.to(at::kDouble) - right).abs().max() / right.abs().max()).item<double>();
  }

  const at::NoGradGuard no_grad_;
};

TEST_F(Attention, agrees_with_float64_at_sizes_that_fill_no_vector) {
  for (const std::int64_t tokens : {1, 2, 3, 4, 5, 7, 8, 9, 13, 16, 17, 31, 33, 50, 77})
    for (const std::int64_t width : {1, 3, 4, 5, 8, 12, 16, 17, 24, 29, 64})
      for (const bool causal : {false, true}) {
        const at::Tensor q = heads(2, 3, tokens, width, 2.0, 0.1);
        const at::Tensor k = heads(2, 3, tokens, width, 2.0, 0.2);
        const at::Tensor v = heads(2, 3, tokens, width, 2.0, 0.3);
        const double scale = 1.0 / std::sqrt(static_cast<double>(width));
        EXPECT_LT(error(attention(q, k, v, scale, causal), exact(q, k, v, scale, causal)), 2e-6)
            << tokens << " tokens, " << width << " channels, causal " << causal;
      }
}

TEST_F(Attention, heads_of_a_group_share_keys_and_values) {
  for (const std::int64_t own : {1, 2, 6}) {
    const at::Tensor q = heads(2, 6, 19, 24, 1.5, 0.1);
    const at::Tensor k = heads(2, own, 19, 24, 1.5, 0.2);
    const at::Tensor v = heads(2, own, 19, 24, 1.5, 0.3);
    EXPECT_LT(error(attention(q, k, v, 0.2, true), exact(q, k, v, 0.2, true)), 2e-6) << own;
  }
}

TEST_F(Attention, reads_what_a_joint_projection_wrote_and_joins_heads_without_a_copy) {
  const at::Tensor qkv = some({2, 10, 3 * 4 * 8}, 1.0, 0.5);
  const std::vector<at::Tensor> parts =
      qkv.reshape({2, 10, 3, 4, 8}).permute({2, 0, 3, 1, 4}).unbind(0);
  const at::Tensor out = attention(parts[0], parts[1], parts[2], 0.3, false);
  EXPECT_LT(error(out, exact(parts[0], parts[1], parts[2], 0.3, false)), 2e-6);
  EXPECT_TRUE(out.transpose(1, 2).is_contiguous());
}

TEST_F(Attention, fewer_queries_than_keys_give_the_same_rows) {
  const at::Tensor q = heads(2, 3, 50, 16, 1.0, 0.1);
  const at::Tensor k = heads(2, 3, 50, 16, 1.0, 0.2);
  const at::Tensor v = heads(2, 3, 50, 16, 1.0, 0.3);
  for (const std::int64_t read : {1, 2, 5})
    EXPECT_LT(error(attention(q.narrow(2, 0, read), k, v, 0.25, false),
                    exact(q, k, v, 0.25, false).narrow(2, 0, read)),
              2e-6);
}

TEST_F(Attention, large_logits_do_not_overflow) {
  const at::Tensor q = heads(1, 2, 21, 8, 300.0, 0.1);
  const at::Tensor k = heads(1, 2, 21, 8, 300.0, 0.2);
  const at::Tensor v = heads(1, 2, 21, 8, 1.0, 0.3);
  for (const bool causal : {false, true}) {
    const at::Tensor out = attention(q, k, v, 1.0, causal);
    ASSERT_TRUE(at::isfinite(out).all().item<bool>());
    // Logits of 10^5 have an ulp of 2^-7: what float32 can give, and ATen does.
    const at::Tensor theirs = at::scaled_dot_product_attention(q, k, v, {}, 0.0, causal, 1.0);
    EXPECT_LT(error(out, theirs.to(at::kDouble)), 0.05);
  }
}

TEST_F(Attention, equal_logits_give_the_mean) {
  const at::Tensor q = at::zeros({1, 1, 5, 4});
  const at::Tensor k = heads(1, 1, 5, 4, 1.0, 0.2);
  const at::Tensor v = heads(1, 1, 5, 4, 1.0, 0.3);
  const at::Tensor mean = v.to(at::kDouble).mean(2, true).expand({1, 1, 5, 4});
  EXPECT_LT(error(attention(q, k, v, 1.0, false), mean), 2e-7);
}

TEST_F(Attention, a_causal_row_does_not_see_what_comes_later) {
  at::Tensor q = heads(1, 1, 40, 8, 1.0, 0.1);
  at::Tensor k = heads(1, 1, 40, 8, 1.0, 0.2);
  at::Tensor v = heads(1, 1, 40, 8, 1.0, 0.3);
  const at::Tensor before = attention(q, k, v, 0.5, true).narrow(2, 0, 23).clone();
  k.narrow(2, 23, 17).fill_(1e30);
  v.narrow(2, 23, 17).fill_(-1e30);
  EXPECT_TRUE(at::equal(attention(q, k, v, 0.5, true).narrow(2, 0, 23), before));
}

TEST_F(Attention, what_is_not_a_number_shows) {
  const at::Tensor q = heads(1, 1, 9, 8, 1.0, 0.1);
  const at::Tensor v = heads(1, 1, 9, 8, 1.0, 0.3);
  for (const double bad :
       {std::numeric_limits<double>::quiet_NaN(), std::numeric_limits<double>::infinity()}) {
    at::Tensor k = heads(1, 1, 9, 8, 1.0, 0.2).contiguous();
    k.select(2, 3).fill_(bad);
    EXPECT_FALSE(at::isfinite(attention(q, k, v, 1.0, false)).all().item<bool>());
  }
}

TEST_F(Attention, does_not_depend_on_the_batch_a_row_is_in) {
  const at::Tensor q = heads(4, 2, 30, 12, 1.0, 0.1);
  const at::Tensor k = heads(4, 2, 30, 12, 1.0, 0.2);
  const at::Tensor v = heads(4, 2, 30, 12, 1.0, 0.3);
  const at::Tensor all = attention(q, k, v, 0.4, true);
  for (std::int64_t b = 0; b < 4; ++b)
    EXPECT_TRUE(
        at::equal(attention(q.narrow(0, b, 1), k.narrow(0, b, 1), v.narrow(0, b, 1), 0.4, true),
                  all.narrow(0, b, 1)));
}

TEST_F(Attention, other_dtypes_and_recorded_gradients_go_to_aten) {
  const at::Tensor q = heads(1, 4, 9, 8, 1.0, 0.1);
  const at::Tensor k = heads(1, 2, 9, 8, 1.0, 0.2);
  const at::Tensor v = heads(1, 2, 9, 8, 1.0, 0.3);
  const at::Tensor wide =
      attention(q.to(at::kDouble), k.to(at::kDouble), v.to(at::kDouble), 0.4, true);
  EXPECT_LT(error(wide, exact(q, k, v, 0.4, true)), 1e-13);
  const at::AutoGradMode grad(true);
  EXPECT_FALSE(usable(q));
  const at::Tensor leaf = q.detach().clone().set_requires_grad(true);
  attention(leaf, k, v, 0.4, true).sum().backward();
  EXPECT_TRUE(leaf.grad().defined());
}

}  // namespace
}  // namespace assay::models::kernels
