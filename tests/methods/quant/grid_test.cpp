#include "methods/quant/grid.h"

#include <ATen/ATen.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "methods/quant/grid_search.h"
#include "methods/quant/rounding_error.h"
#include "tests/support/refusal.h"

namespace assay::quant {
namespace {

using assay::testing::refusal;
using ::testing::HasSubstr;

at::Tensor row(std::initializer_list<double> values, at::ScalarType type = at::kDouble) {
  return at::tensor(std::vector<double>(values), at::kDouble).to(type).unsqueeze(0);
}

at::Tensor random(at::IntArrayRef shape, std::uint64_t seed) {
  at::manual_seed(seed);
  return at::randn(shape, at::kDouble);
}

double score(const at::Tensor& weight, const Grid& grid, double exponent) {
  return (weight - fake_quantize(weight, grid)).abs().pow(exponent).sum().item<double>();
}

TEST(Grid, min_max_gold_vector) {
  const at::Tensor weight = row({-0.70, -0.20, 0.05, 0.33, 1.10});
  const Grid grid = find_grid(weight, {.bits = 2});
  EXPECT_NEAR(grid.scale.item<double>(), 0.6, 1e-12);
  EXPECT_EQ(grid.zero.item<double>(), 1);
  EXPECT_TRUE(encode(weight, grid).equal(row({0, 1, 1, 2, 3})));
  EXPECT_TRUE(fake_quantize(weight, grid).allclose(row({-0.6, 0, 0, 0.6, 1.2}), 0, 1e-12));
}

TEST(Grid, quantizing_again_is_the_identity_and_zero_is_exact) {  // T1
  for (const at::ScalarType type : {at::kFloat, at::kDouble}) {
    for (const int bits : {2, 3, 4, 8}) {
      const at::Tensor weight = random({6, 50}, 1).to(type);
      const Grid grid = find_grid(weight, {.bits = bits});
      const at::Tensor once = fake_quantize(weight, grid);
      EXPECT_TRUE(fake_quantize(once, grid).equal(once));
      EXPECT_TRUE(encode(once, grid).equal(encode(weight, grid)));
      for (std::int64_t r = 0; r < weight.size(0); ++r) {
        EXPECT_LE(std::get<0>(at::_unique(once[r])).numel(), std::int64_t{1} << bits);
      }
      EXPECT_EQ(fake_quantize(at::zeros_like(weight), grid).abs().max().item<double>(), 0);
    }
  }
}

TEST(Grid, rounding_is_half_to_even_before_the_zero_point_is_added) {
  const Grid grid{
      .bits = 4, .scale = at::ones({1, 1}, at::kDouble), .zero = at::ones({1, 1}, at::kDouble)};
  EXPECT_TRUE(encode(row({0.5, 1.5, 2.5, -0.5}), grid).equal(row({1, 3, 3, 1})));
}

TEST(Grid, a_row_of_zeros_has_a_scale_and_stays_zero) {
  at::Tensor weight = random({3, 8}, 2);
  weight[1].zero_();
  for (const bool symmetric : {false, true}) {
    for (const RangeSearch search : {RangeSearch::kMinMax, RangeSearch::kMse, RangeSearch::kMseGptq,
                                     RangeSearch::kPercentile}) {
      const Grid grid = find_grid(weight, {.bits = 4, .search = search, .symmetric = symmetric});
      const at::Tensor value = fake_quantize(weight, grid);
      EXPECT_TRUE(value.isfinite().all().item<bool>());
      EXPECT_EQ(value[1].abs().max().item<double>(), 0);
    }
  }
  EXPECT_EQ(fake_quantize(at::zeros({2, 4}), p1_weight_grid(at::zeros({2, 4}), 8))
                .abs()
                .max()
                .item<float>(),
            0);
}

// The convention in plain numbers, also for rows without 0 in their range and for narrow ones.
TEST(Grid, the_free_range_agrees_with_a_naive_loop) {
  at::Tensor weight = random({6, 33}, 7);
  weight[1] = weight[1].abs() + 0.5;
  weight[2] = -weight[2].abs() - 0.5;
  weight[3] = weight[3] * 1e-8;
  weight[4].fill_(0.25);
  weight[5].zero_();
  for (const int bits : {2, 3, 4, 8}) {
    const Grid grid = find_grid(weight, {.bits = bits, .search = RangeSearch::kFree});
    const at::Tensor code = encode(weight, grid), value = decode(code, grid);
    const double most = std::pow(2.0, bits) - 1;
    for (std::int64_t r = 0; r < weight.size(0); ++r) {
      const double low = weight[r].min().item<double>(), high = weight[r].max().item<double>();
      const double scale = std::fmax(high - low, 1e-5) / most;
      const double zero = std::fmin(std::fmax(-std::nearbyint(low / scale), 0), most);
      EXPECT_EQ(grid.scale[r].item<double>(), scale);
      EXPECT_EQ(grid.zero[r].item<double>(), zero);
      EXPECT_FALSE(std::signbit(grid.zero[r].item<double>()));
      for (std::int64_t j = 0; j < weight.size(1); ++j) {
        const double w = weight[r][j].item<double>();
        const double q = std::fmin(std::fmax(std::nearbyint(w / scale) + zero, 0), most);
        EXPECT_EQ(code[r][j].item<double>(), q);
        EXPECT_EQ(value[r][j].item<double>(), scale * (q - zero));
      }
    }
  }
  const Grid groups = find_grid(
      weight,
      {.bits = 3, .search = RangeSearch::kFree, .granularity = Granularity::kGroup, .group = 16});
  const Grid last = find_grid(weight.narrow(1, 32, 1), {.bits = 3, .search = RangeSearch::kFree});
  EXPECT_TRUE(groups.scale.narrow(1, 2, 1).equal(last.scale));
  EXPECT_THAT(
      refusal([&] { find_grid(weight, {.search = RangeSearch::kFree, .symmetric = true}); }),
      HasSubstr("config: the free range"));
}

TEST(Grid, one_pair_a_tensor_a_row_or_a_group) {
  const at::Tensor weight = random({5, 70}, 3);
  EXPECT_EQ(find_grid(weight, {.granularity = Granularity::kTensor}).scale.sizes(),
            at::IntArrayRef({1, 1}));
  EXPECT_EQ(find_grid(weight, {}).scale.sizes(), at::IntArrayRef({5, 1}));
  const Grid grid = find_grid(weight, {.granularity = Granularity::kGroup, .group = 32});
  EXPECT_EQ(grid.scale.sizes(), at::IntArrayRef({5, 3}));
  const Grid last = find_grid(weight.narrow(1, 64, 6), {});
  EXPECT_TRUE(grid.scale.narrow(1, 2, 1).equal(last.scale));
  EXPECT_TRUE(fake_quantize(weight, grid)
                  .narrow(1, 64, 6)
                  .equal(fake_quantize(weight.narrow(1, 64, 6), last)));
}

TEST(Grid, groups_of_permuted_columns) {
  const at::Tensor perm = at::tensor({3, 1, 0, 2}, at::kLong);
  EXPECT_TRUE(group_of_columns(4, 2, perm).equal(at::tensor({1, 0, 1, 0}, at::kLong)));
}

TEST(Grid, symmetric_ranges_have_the_zero_point_in_the_middle) {
  const Grid grid = find_grid(row({-0.3, 0.9}), {.bits = 4, .symmetric = true});
  EXPECT_EQ(grid.zero.item<double>(), 8);
  EXPECT_NEAR(grid.scale.item<double>(), 1.8 / 15, 1e-15);
  // Without negative weights the upper half of the codes must still reach the largest weight.
  const at::Tensor positive = row({0.1, 0.9});
  EXPECT_NEAR(
      fake_quantize(
          positive,
          find_grid(positive, {.bits = 8, .symmetric = true, .mirror_positive = true}))[0][1]
          .item<double>(),
      0.9, 0.01);
}

TEST(GridSearch, no_search_scores_worse_than_min_max_under_its_own_score) {
  const at::Tensor weight = random({20, 64}, 4);
  const at::Tensor basis = random({64, 200}, 5);
  const at::Tensor hessian = at::matmul(basis, basis.t());
  for (const int bits : {2, 3, 4}) {
    for (const bool symmetric : {false, true}) {
      GridOptions options{.bits = bits, .symmetric = symmetric};
      const Grid plain = find_grid(weight, options);
      for (const RangeSearch search : {RangeSearch::kMse, RangeSearch::kMseGptq}) {
        options.search = search;
        EXPECT_LE(score(weight, find_grid(weight, options), 2.4), score(weight, plain, 2.4));
      }
      options.search = RangeSearch::kHessian;
      const auto quadratic = [&](const Grid& grid) {
        const at::Tensor delta = fake_quantize(weight, grid) - weight;
        return (at::matmul(delta, hessian) * delta).sum().item<double>();
      };
      EXPECT_LE(quadratic(find_grid(weight, options, hessian)), quadratic(plain));
    }
  }
}

// The definition of the searches, candidate by candidate, in plain numbers.
TEST(GridSearch, mse_agrees_with_a_naive_loop) {
  const at::Tensor weight = random({4, 33}, 6);
  const int bits = 3;
  const Grid grid = find_grid(weight, {.bits = bits, .search = RangeSearch::kMse});
  for (std::int64_t r = 0; r < 4; ++r) {
    const at::Tensor line = weight[r].contiguous();
    const std::vector<double> w(line.data_ptr<double>(), line.data_ptr<double>() + 33);
    const double low = std::min(0.0, *std::min_element(w.begin(), w.end()));
    const double high = std::max(0.0, *std::max_element(w.begin(), w.end()));
    double best = INFINITY, best_scale = 0, best_zero = 0;
    for (int i = 0; i < 100; ++i) {
      const double p = 1 - i / 100.0, s = (p * high - p * low) / 7;
      for (const double z : {std::floor(-p * low / s), std::ceil(-p * low / s)}) {
        double sum = 0;
        for (const double x : w) {
          const double q = std::clamp(std::nearbyint(x / s) + z, 0.0, 7.0);
          sum += std::pow(std::fabs(x - s * (q - z)), 2.4);
        }
        if (sum < best * (1 - 1e-12)) best = sum, best_scale = s, best_zero = z;
      }
    }
    EXPECT_NEAR(grid.scale[r][0].item<double>(), best_scale, 1e-12);
    EXPECT_EQ(grid.zero[r][0].item<double>(), best_zero);
  }
}

TEST(GridSearch, sixteen_bits_are_the_float_weight_to_tolerance) {
  const at::Tensor weight = random({8, 40}, 7).to(at::kFloat);
  const at::Tensor value = fake_quantize(weight, find_grid(weight, {.bits = 16}));
  EXPECT_LT((value - weight).abs().max().item<double>(), 1e-3);
}

TEST(GridSearch, percentile_leaves_outliers_out) {
  at::Tensor weight = random({2, 1000}, 8);
  weight[0][0] = 100;
  const Grid grid =
      find_grid(weight, {.bits = 8, .search = RangeSearch::kPercentile, .percentile = 0.99});
  EXPECT_LT(grid.scale[0][0].item<double>(), 0.05);
}

TEST(GridSearch, refusals_name_the_option) {
  const at::Tensor weight = random({2, 4}, 9);
  EXPECT_THAT(refusal([&] { find_grid(weight, {.bits = 0}); }),
              HasSubstr("config: a weight grid of 0 bits"));
  EXPECT_THAT(refusal([&] { find_grid(weight, {.granularity = Granularity::kGroup}); }),
              HasSubstr("group = -1"));
  EXPECT_THAT(refusal([&] { find_grid(weight, {.search = RangeSearch::kHessian}); }),
              HasSubstr("second moments"));
  EXPECT_THAT(refusal([&] { find_grid(weight / 0.0, {}); }),
              HasSubstr("method: the weight holds NaN"));
  EXPECT_THAT(refusal([] { enum_from<RangeSearch>("minmux", "range"); }),
              HasSubstr("did you mean 'minmax'?"));
}

TEST(Grid, one_symmetric_bit_would_round_everything_to_zero_and_is_refused) {
  const at::Tensor weight = at::randn({2, 4});
  EXPECT_THAT(refusal([&] { find_grid(weight, {.bits = 1, .symmetric = true}); }),
              HasSubstr("unsupported: a symmetric weight grid of 1 bit has the values -m and 0"));
  EXPECT_THAT(refusal([&] { p1_weight_grid(weight, 1); }), HasSubstr("use at least 2 bits"));
  EXPECT_GT(fake_quantize(weight, find_grid(weight, {.bits = 1})).abs().max().item<double>(), 0);
}

TEST(Grid, rows_near_the_least_float_keep_their_values) {
  const at::Tensor weight = at::tensor({-3e-38F, 0.F, 5e-38F, 8e-38F}).reshape({1, 4});
  const at::Tensor rounded = fake_quantize(weight, find_grid(weight, {.bits = 4}));
  EXPECT_GT(rounded.abs().max().item<float>(), 7e-38F);
  // Where even the scale underflows nothing is left to round.
  const at::Tensor least = at::full({1, 4}, 1e-45);
  EXPECT_EQ(fake_quantize(least, find_grid(least, {.bits = 4})).abs().max().item<float>(), 0);
}

TEST(Grid, zero_points_are_codes_whatever_the_signs) {
  at::manual_seed(31);
  for (const at::ScalarType type : {at::kFloat, at::kDouble}) {
    for (const double sign : {-1.0, 1.0}) {
      const at::Tensor weight = sign * at::rand({500, 8}, type);
      const at::Tensor moments = at::matmul(weight.transpose(0, 1), weight);
      for (const RangeSearch search : {RangeSearch::kMinMax, RangeSearch::kFree, RangeSearch::kMse,
                                       RangeSearch::kMseGptq, RangeSearch::kHessian}) {
        for (const int bits : {2, 3, 4, 8}) {
          const Grid grid = find_grid(weight, {.bits = bits, .search = search}, moments);
          EXPECT_GE(grid.zero.min().item<double>(), 0);
          EXPECT_LE(grid.zero.max().item<double>(), (1 << bits) - 1) << bits;
          EXPECT_TRUE(grid.zero.equal(grid.zero.round()));
        }
      }
    }
  }
}

TEST(P1WeightGrid, gold_vectors) {  // PS-T7
  const at::Tensor weight = row({-.8, -.31, 0, .05, .4, .8});
  const Grid four = p1_weight_grid(weight, 4), eight = p1_weight_grid(weight, 8);
  EXPECT_NEAR(four.scale.item<double>(), .1066667, 1e-7);
  EXPECT_TRUE((encode(weight, four) - 8).equal(row({-8, -3, 0, 0, 4, 7})));
  EXPECT_NEAR(eight.scale.item<double>(), .00627451, 1e-8);
  EXPECT_TRUE((encode(weight, eight) - 128).equal(row({-128, -49, 0, 8, 64, 127})));
}

TEST(RoundingError, one_pass_over_memory_gives_the_bits_of_single_operations) {
  at::manual_seed(21);
  for (const at::ScalarType type : {at::kFloat, at::kDouble}) {
    const at::Tensor weight = at::randn({3, 7, 37}, type) * 4;  // clips on both sides
    const at::Tensor scale = at::rand({3, 7, 1}, type) + 0.1;
    const at::Tensor zero = at::floor(at::rand({3, 7, 1}, type) * 8);
    const at::Tensor code = at::clamp(at::round(weight / scale) + zero, 0, 7);
    EXPECT_TRUE(rounding_error(weight, scale, zero, 7).equal(scale * (code - zero) - weight));
    const at::Tensor turned = weight.transpose(0, 1);  // not contiguous
    EXPECT_TRUE(rounding_error(turned, scale.transpose(0, 1), zero.transpose(0, 1), 7)
                    .equal(rounding_error(weight, scale, zero, 7).transpose(0, 1)));
  }
}

}  // namespace
}  // namespace assay::quant
