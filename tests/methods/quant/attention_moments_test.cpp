#include "methods/quant/attention_moments.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <map>

#include "harness/models/rotary.h"

namespace assay::quant {
namespace {

models::AttentionParts parts_of(std::int64_t heads, std::int64_t kv_heads, std::int64_t width) {
  return {.heads = heads,
          .kv_heads = kv_heads,
          .head_dim = width,
          .queries = "q",
          .keys = "k",
          .probabilities = "a"};
}

TEST(RotatedMean, equals_the_mean_over_positions_one_by_one) {  // T14
  at::manual_seed(1);
  const models::Rotary rotary(6, 100, nullptr);
  const at::Tensor half = at::randn({2, 6, 6}, at::kDouble);
  const at::Tensor moments = at::matmul(half, half.transpose(1, 2));
  EXPECT_TRUE(rotated_mean(moments, rotary.frequencies(), 1).allclose(moments, 1e-12, 1e-12));
  constexpr std::int64_t kLength = 9;
  // Column j of R_t is the unit vector j, turned by the angle of position t.
  const at::Tensor turned =
      rotary(at::eye(6, at::kDouble).unsqueeze(0).unsqueeze(0).expand({1, kLength, 6, 6}).clone());
  at::Tensor expected = at::zeros_like(moments);
  for (std::int64_t t = 0; t < kLength; ++t) {
    const at::Tensor rotation = turned[0][t].t();
    expected += at::matmul(at::matmul(rotation.t(), moments), rotation) / kLength;
  }
  EXPECT_TRUE(
      rotated_mean(moments, rotary.frequencies(), kLength).allclose(expected, 1e-12, 1e-12));
  EXPECT_TRUE(rotated_mean(moments, {}, kLength).equal(moments));
}

TEST(RotatedMean, starts_behind_a_prefix) {
  at::manual_seed(5);
  const models::Rotary rotary(4, 100, nullptr);
  const at::Tensor half = at::randn({1, 4, 4}, at::kDouble);
  const at::Tensor moments = at::matmul(half, half.transpose(1, 2));
  const auto mean = [&](std::int64_t length, std::int64_t first) {
    return rotated_mean(moments, rotary.frequencies(), length, first);
  };
  EXPECT_TRUE(mean(5, 3).allclose((mean(8, 0) * 8 - mean(3, 0) * 3) / 5, 1e-12, 1e-12));
}

TEST(AttentionMoments, keys_of_a_prefix_are_met_by_every_sequence) {
  at::manual_seed(6);
  const at::Tensor before = at::randn({1, 2, 3, 2}, at::kDouble);  // [1, kv_heads, m, d]
  const at::Tensor k = at::randn({4, 2, 5, 2}, at::kDouble);
  const at::Tensor q = at::randn({4, 2, 5, 2}, at::kDouble);
  AttentionMoments seen(parts_of(2, 2, 2), "x", false, before),
      plain(parts_of(2, 2, 2), "x", false);
  seen("x", at::zeros({4, 5, 4}, at::kDouble)), seen("q", q), seen("k", k);
  plain("x", at::zeros({4, 8, 4}, at::kDouble)), plain("q", q);
  plain("k", at::cat({before.expand({4, 2, 3, 2}), k}, 2));
  EXPECT_TRUE(seen.rows_of_queries().allclose(plain.rows_of_queries(), 1e-12));
  EXPECT_TRUE(seen.rows_of_keys().allclose(plain.rows_of_keys(), 1e-12));
}

TEST(AttentionMoments, uniform_causal_attention_by_hand) {  // T13
  AttentionMoments seen(parts_of(1, 1, 2), "x", true);
  const at::Tensor x = at::tensor({1., 0., 0., 1., 1., 1.}, at::kDouble).reshape({1, 3, 2});
  const at::Tensor probabilities =
      at::tensor({1., 0., 0., .5, .5, 0., 1 / 3., 1 / 3., 1 / 3.}, at::kDouble)
          .reshape({1, 1, 3, 3});
  EXPECT_TRUE(seen.wants("a"));
  seen("x", x), seen("q", x), seen("k", x), seen("a", probabilities);
  const at::Tensor expected =
      at::tensor({1.129630, 0.462963, 0.462963, 0.462963}, at::kDouble).reshape({1, 2, 2});
  EXPECT_TRUE(seen.columns_of_values().allclose(expected, 0, 1e-6));
  const at::Tensor inputs =
      at::tensor({4 / 3., 2 / 3., 2 / 3., 4 / 3.}, at::kDouble).reshape({1, 2, 2});
  EXPECT_TRUE(seen.rows_of_queries().allclose(inputs, 1e-12));  // the keys' moments
  EXPECT_TRUE(seen.rows_of_keys().allclose(inputs, 1e-12));
}

TEST(AttentionMoments, an_error_of_the_values_costs_what_the_moments_say) {  // T8
  at::manual_seed(2);
  AttentionMoments seen(parts_of(2, 2, 3), "x", true);
  const at::Tensor x = at::randn({1, 7, 6}, at::kDouble);
  const at::Tensor scores = at::randn({1, 2, 7, 7}, at::kDouble);
  const at::Tensor probabilities = scores.softmax(-1);
  seen("x", x), seen("q", x), seen("k", x), seen("a", probabilities);
  const at::Tensor change = at::randn({2, 3, 6}, at::kDouble);
  for (std::int64_t h = 0; h < 2; ++h) {
    const at::Tensor moved = at::matmul(at::matmul(probabilities[0][h], x[0]), change[h].t());
    const at::Tensor predicted =
        (at::matmul(change[h], seen.columns_of_values()[h]) * change[h]).sum() * 7 / 2;
    EXPECT_NEAR(moved.square().sum().item<double>() / predicted.item<double>(), 1, 1e-10);
  }
}

TEST(AttentionMoments, heads_that_share_a_key_share_a_mean) {
  at::manual_seed(3);
  AttentionMoments grouped(parts_of(4, 2, 2), "x", true);
  const at::Tensor x = at::randn({2, 5, 8}, at::kDouble);
  const at::Tensor q = at::randn({2, 4, 5, 2}, at::kDouble),
                   k = at::randn({2, 2, 5, 2}, at::kDouble);
  const at::Tensor probabilities = at::randn({2, 4, 5, 5}, at::kDouble).softmax(-1);
  grouped("x", x), grouped("q", q), grouped("k", k), grouped("a", probabilities);
  // As many keys as queries: the same tensors as with every key spelled out.
  AttentionMoments plain(parts_of(4, 4, 2), "x", true);
  plain("x", x), plain("q", q), plain("k", k.repeat_interleave(2, 1)), plain("a", probabilities);
  const auto mean = [](const at::Tensor& all) {
    return all.reshape({2, 2, all.size(1), all.size(2)}).mean(1);
  };
  EXPECT_TRUE(grouped.rows_of_queries().allclose(plain.rows_of_queries(), 1e-12));
  EXPECT_TRUE(grouped.rows_of_keys().allclose(mean(plain.rows_of_keys()), 1e-12));
  EXPECT_TRUE(grouped.columns_of_values().allclose(mean(plain.columns_of_values()), 1e-12));
}

TEST(AttentionMoments, padding_of_the_last_chunk_does_not_count) {
  at::manual_seed(4);
  const at::Tensor x = at::randn({3, 4, 4}, at::kDouble);
  const at::Tensor probabilities = at::randn({3, 1, 4, 4}, at::kDouble).softmax(-1);
  AttentionMoments whole(parts_of(1, 1, 4), "x", true), chunked(parts_of(1, 1, 4), "x", true);
  whole("x", x), whole("q", x), whole("k", x), whole("a", probabilities);
  for (std::int64_t i = 0; i < 2; ++i) {
    const Chunk chunk = chunk_of(x, i, 2), attention = chunk_of(probabilities, i, 2);
    chunked.begin(&chunk);
    for (const char* site : {"x", "q", "k"}) chunked(site, chunk.rows);
    chunked("a", attention.rows);
  }
  EXPECT_TRUE(chunked.rows_of_keys().allclose(whole.rows_of_keys(), 1e-12));
  EXPECT_TRUE(chunked.columns_of_values().allclose(whole.columns_of_values(), 1e-12));
}

}  // namespace
}  // namespace assay::quant
