#include "methods/quant/activation.h"

#include <ATen/ATen.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "tests/support/refusal.h"

namespace assay::quant {
namespace {

using assay::testing::refusal;
using ::testing::HasSubstr;

at::Tensor values(std::initializer_list<double> list) {
  return at::tensor(std::vector<double>(list), at::kDouble);
}

at::Tensor codes(const ActivationQuantizer& quantizer, const at::Tensor& x) {
  return at::round(quantizer(x) / quantizer.scale) + quantizer.zero;
}

TEST(P1Quantizer, gold_vectors) {  // PS-T8
  const Range range{-.17, 2.83};
  const at::Tensor x = values({-.17, 0, .2, 1, 2.83});
  const ActivationQuantizer four = p1_quantizer(range, 4, at::kDouble);
  EXPECT_NEAR(four.scale, .2, 1e-12);
  EXPECT_EQ(four.zero, 1);
  EXPECT_TRUE(codes(four, x).equal(values({0, 1, 2, 6, 15})));
  const ActivationQuantizer eight = p1_quantizer(range, 8, at::kDouble);
  EXPECT_NEAR(eight.scale, .01176471, 1e-8);
  EXPECT_EQ(eight.zero, 14);
  EXPECT_TRUE(codes(eight, x).equal(values({0, 14, 31, 99, 255})));
}

TEST(ActivationQuantizer, half_precision_is_quantized_in_float32) {
  for (const at::ScalarType type : {at::kBFloat16, at::kHalf}) {
    const at::Tensor x = at::arange(-40, 41, at::kFloat).div(13).to(type).reshape({3, 27});
    ActivationQuantizer fixed = static_quantizer({-3.1, 3.07}, 8, false, at::kFloat);
    for (const ActivationScheme scheme : {ActivationScheme::kTensorStatic,
                                          ActivationScheme::kTensorDynamic,
                                          ActivationScheme::kToken}) {
      fixed.scheme = scheme;
      const at::Tensor y = fixed(x);
      EXPECT_EQ(y.scalar_type(), type);
      EXPECT_TRUE(y.equal(fixed(x.to(at::kFloat)).to(type)));
    }
  }
}

TEST(P1Quantizer, a_range_above_zero_loses_its_top) {  // PS-T8
  const ActivationQuantizer q = p1_quantizer({.5, 2}, 4, at::kDouble);
  EXPECT_TRUE(q(values({.5, 1, 2})).allclose(values({.5, 1, 1.5}), 0, 1e-12));
}

TEST(P1Quantizer, ties_round_to_even_after_the_zero_point_is_added) {
  const ActivationQuantizer q{
      .order = RoundingOrder::kZeroThenRound, .bits = 8, .scale = 1, .zero = 11};
  // -7.5 + 11 = 3.5 -> 4; 7.5 + 11 = 18.5 -> 18; 2.5 + 11 = 13.5 -> 14
  EXPECT_TRUE(q(values({-7.5, 7.5, 2.5})).equal(values({-7, 7, 3})));
  const ActivationQuantizer even{
      .order = RoundingOrder::kZeroThenRound, .bits = 8, .scale = 1, .zero = 8};
  EXPECT_TRUE(even(values({-7.5, 7.5, 2.5})).equal(values({-8, 8, 2})));
}

TEST(StaticQuantizer, is_idempotent_and_errs_by_half_a_step_inside_its_range) {  // PS-T10
  at::manual_seed(1);
  const at::Tensor x = at::randn({400}, at::kDouble);
  const Range range{x.min().item<double>(), x.max().item<double>()};
  for (const int bits : {2, 4, 8}) {
    for (const ActivationQuantizer& q : {static_quantizer(range, bits, false, at::kDouble),
                                         p1_quantizer(range, bits, at::kDouble)}) {
      const at::Tensor once = q(x);
      EXPECT_TRUE(q(once).equal(once));
      EXPECT_LE(std::get<0>(at::_unique(once)).numel(), std::int64_t{1} << bits);
      // The zero point is rounded, so the ends of the range may be cut by half a step more.
      EXPECT_LE((once - x).abs().max().item<double>(), q.scale * (1 + 1e-12));
      const at::Tensor inside = (x - q.scale > range.low).logical_and(x + q.scale < range.high);
      EXPECT_LE((once - x).abs().masked_select(inside).max().item<double>(),
                q.scale / 2 * (1 + 1e-9));
    }
  }
}

TEST(StaticQuantizer, symmetric_uses_the_signed_range) {
  const ActivationQuantizer q = static_quantizer({-1, 2}, 8, true, at::kDouble);
  EXPECT_NEAR(q.scale, 2.0 / 127, 1e-15);
  EXPECT_EQ(q.zero, 128);
  EXPECT_NEAR(q(values({2, -1, 5}))[2].item<double>(), 2, 1e-12);
}

TEST(StaticQuantizer, an_empty_range_passes_zeros) {
  for (const bool symmetric : {false, true}) {
    const ActivationQuantizer q = static_quantizer({0, 0}, 8, symmetric, at::kFloat);
    EXPECT_EQ(q(at::zeros({4})).abs().max().item<float>(), 0);
  }
  EXPECT_EQ(p1_quantizer({0, 0}, 8, at::kFloat)(at::zeros({4})).abs().max().item<float>(), 0);
}

// The loops over plain memory against ATen's operations, which compute where memory is not
// contiguous.
TEST(ActivationQuantizer, gives_the_bits_of_operations_one_after_the_other) {
  at::manual_seed(11);
  for (const at::ScalarType type : {at::kFloat, at::kDouble}) {
    at::Tensor x = at::randn({3, 7, 33}, at::kDouble).mul(4).to(type);
    x[0][0][0] = -0.0;
    x[1][2].mul_(1e-30);
    x[2][3].mul_(1e6);
    const at::Tensor strided = x.transpose(1, 2).contiguous().transpose(1, 2);
    ASSERT_FALSE(strided.is_contiguous());
    for (const auto scheme : {ActivationScheme::kTensorStatic, ActivationScheme::kTensorDynamic,
                              ActivationScheme::kToken}) {
      for (const auto order : {RoundingOrder::kRoundThenZero, RoundingOrder::kZeroThenRound}) {
        for (const int bits : {2, 4, 8, 16}) {
          const ActivationQuantizer q{.scheme = scheme,
                                      .order = order,
                                      .bits = bits,
                                      .scale = static_cast<float>(0.037),
                                      .zero = 2};
          EXPECT_TRUE(q(x).equal(q(strided))) << enum_name(scheme) << " " << bits;
        }
      }
    }
  }
}

TEST(ActivationQuantizer, what_is_not_finite_fares_as_with_operations) {
  const double infinity = std::numeric_limits<double>::infinity();
  const at::Tensor x = at::tensor({-infinity, infinity, std::nan(""), 1.0}).reshape({2, 2});
  const ActivationQuantizer q{.bits = 8, .scale = 0.5, .zero = 100};
  const at::Tensor y = q(x);
  EXPECT_EQ(y[0][0].item<double>(), -50);
  EXPECT_EQ(y[0][1].item<double>(), 77.5);
  EXPECT_TRUE(std::isnan(y[1][0].item<double>()));
  EXPECT_EQ(y[1][1].item<double>(), 1);
}

TEST(DynamicQuantizer, a_token_has_its_own_range) {
  at::manual_seed(2);
  at::Tensor x = at::randn({3, 5, 16}, at::kFloat);
  x[1][2].mul_(1000);
  x[2][0].zero_();
  for (const bool symmetric : {false, true}) {
    const ActivationQuantizer token{
        .scheme = ActivationScheme::kToken, .bits = 8, .symmetric = symmetric};
    const at::Tensor whole = token(x);
    EXPECT_TRUE(whole.isfinite().all().item<bool>());
    EXPECT_EQ(whole[2][0].abs().max().item<float>(), 0);
    EXPECT_TRUE(token(x[0]).equal(whole[0]));
    EXPECT_LT((whole[0] - x[0]).abs().max().item<float>(), 0.03);
    const ActivationQuantizer tensor{
        .scheme = ActivationScheme::kTensorDynamic, .bits = 8, .symmetric = symmetric};
    EXPECT_GT((tensor(x)[1][0] - x[1][0]).abs().max().item<float>(), 1);
  }
}

// The range of a whole chunk depended on its size, and on the zeros that filled the last one.
TEST(DynamicQuantizer, a_sample_does_not_see_the_samples_beside_it) {
  at::manual_seed(3);
  const at::Tensor tokens = at::randn({4, 5, 16}, at::kFloat) + 3;
  const at::Tensor maps = at::randn({4, 3, 6, 6}, at::kFloat) - 2;
  for (const bool symmetric : {false, true}) {
    const ActivationQuantizer tensor{
        .scheme = ActivationScheme::kTensorDynamic, .bits = 4, .symmetric = symmetric};
    for (const at::Tensor& x : {tokens, maps}) {
      at::Tensor beside = x.clone();
      beside[1].mul_(100);
      beside[2].zero_();
      EXPECT_TRUE(tensor(beside)[0].equal(tensor(x.narrow(0, 0, 1))[0]));
      EXPECT_TRUE(tensor(beside)[3].equal(tensor(x.narrow(0, 3, 1))[0]));
    }
  }
}

TEST(ActivationQuantizer, channels_or_heads_share_a_range_as_they_are_told) {
  at::manual_seed(9);
  const at::Tensor x = at::randn({2, 3, 4, 8}, at::kDouble);  // [B, heads, T, d]
  for (const bool symmetric : {false, true}) {
    const ActivationQuantizer row{
        .scheme = ActivationScheme::kToken, .bits = 3, .symmetric = symmetric, .clip = 0.9};
    ActivationQuantizer group = row, heads = row;
    group.group = 4;
    const at::Tensor halves = at::cat({row(x.narrow(3, 0, 4)), row(x.narrow(3, 4, 4))}, 3);
    EXPECT_TRUE(group(x).equal(halves));
    heads.over_heads = true;
    const at::Tensor joined = x.transpose(1, 2).reshape({2, 4, 24});  // a position's heads as a row
    EXPECT_TRUE(heads(x).equal(row(joined).reshape({2, 4, 3, 8}).transpose(1, 2).contiguous()));
    EXPECT_FALSE(heads(x).equal(row(x)));
    EXPECT_THAT(refusal([&] { heads(joined); }), HasSubstr("over all heads does not fit"));
    group.group = 3;
    EXPECT_THAT(refusal([&] { group(x); }),
                HasSubstr("groups of 3 channels does not fit rows of 8"));
  }
}

TEST(ActivationQuantizer, survives_a_round_trip_through_json_exactly) {
  const ActivationQuantizer q = p1_quantizer({-.17, 2.83}, 8, at::kFloat);
  ActivationQuantizer grouped{.scheme = ActivationScheme::kToken, .group = 64}, heads = grouped;
  heads.group = 0, heads.over_heads = true;
  for (const ActivationQuantizer& each : {q, grouped, heads}) {
    EXPECT_EQ(activation_quantizer_from(parse_json(to_json(each).dump(), "test"), "test"), each);
  }
  EXPECT_FALSE(to_json(q).contains("group") || to_json(q).contains("over_heads"));
}

TEST(ActivationQuantizer, malformed_records_are_refused) {
  Json json = to_json(ActivationQuantizer{});
  json["scale"] = 0.0;
  EXPECT_THAT(refusal([&] { activation_quantizer_from(json, "q.json: site"); }),
              HasSubstr("data: q.json: site"));
  json.erase("bits");
  EXPECT_THAT(refusal([&] { activation_quantizer_from(json, "q.json"); }),
              HasSubstr("'bits' is missing"));
  json = to_json(ActivationQuantizer{});
  json["scheme"] = "tokens";
  EXPECT_THAT(refusal([&] { activation_quantizer_from(json, "q.json"); }),
              HasSubstr("did you mean 'token'?"));
  for (const Json& wrong :
       std::vector<Json>{{{"scheme", "token"}, {"group", -1}},
                         {{"scheme", "tensor_dynamic"}, {"group", 4}},
                         {{"scheme", "tensor_static"}, {"over_heads", true}},
                         {{"scheme", "token"}, {"group", 4}, {"over_heads", true}}}) {
    json = to_json(ActivationQuantizer{});
    json.update(wrong);
    EXPECT_THAT(refusal([&] { activation_quantizer_from(json, "q.json"); }),
                HasSubstr("scheme 'token' with group or over_heads, not both"))
        << wrong;
  }
}

TEST(ActivationTap, quantizes_its_sites_and_passes_the_rest) {
  ActivationTap tap({{"a", ActivationQuantizer{.bits = 2, .scale = 1, .zero = 0}}});
  const at::Tensor x = values({0.2, 1.4, 9});
  EXPECT_TRUE(tap("a", x).equal(values({0, 1, 3})));
  EXPECT_TRUE(tap("b", x).is_same(x));
  EXPECT_TRUE(tap.wants("a"));
  EXPECT_FALSE(tap.wants("b"));
}

}  // namespace
}  // namespace assay::quant
