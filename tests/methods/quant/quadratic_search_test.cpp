#include "methods/quant/quadratic_search.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <limits>

#include "methods/quant/grid_search.h"
#include "tests/support/refusal.h"

namespace assay::quant {
namespace {

using assay::testing::refusal;

// Moments whose energy falls as steeply as that of activations, of `rank` dimensions.
at::Tensor steep_moments(std::int64_t n, std::int64_t rank) {
  const at::Tensor size = at::pow(10, -3 * at::arange(n, at::kDouble) / static_cast<double>(n));
  const at::Tensor x =
      at::matmul(at::randn({rank, n}, at::kDouble) * size, at::randn({n, n}, at::kDouble));
  return at::matmul(x.transpose(0, 1), x);
}

struct Candidates {
  at::Tensor scale, zero;  // [rows, pairs]
};

// Shrunk ranges, as the search of a grid has them.
Candidates candidates_of(const at::Tensor& weight, double qmax) {
  const at::Tensor shrink = 1 - at::arange(100, weight.options()) / 100;
  const at::Tensor low = weight.amin({1}, true).clamp_max(0) * shrink;
  const at::Tensor scale = (weight.amax({1}, true).clamp_min(0) * shrink - low) / qmax;
  return {at::cat({scale, scale}, 1),
          at::cat({at::floor(-low / scale), at::ceil(-low / scale)}, 1)};
}

at::Tensor scores_of(const at::Tensor& weight, const Candidates& all, double qmax,
                     const at::Tensor& moments) {
  const at::Tensor s = all.scale.unsqueeze(-1), z = all.zero.unsqueeze(-1), w = weight.unsqueeze(1);
  const at::Tensor e = s * (at::clamp(at::round(w / s) + z, 0, qmax) - z) - w;
  return (at::matmul(e, moments) * e).sum(-1);
}

TEST(QuadraticSearch, a_factor_gives_the_moments_back_and_has_most_of_them_in_front) {
  at::manual_seed(3);
  for (const std::int64_t rank : {80, 20}) {
    const at::Tensor moments = steep_moments(40, rank);
    const at::Tensor factor = energy_factor(moments);
    const double size = moments.abs().max().item<double>();
    EXPECT_TRUE(at::matmul(factor, factor.transpose(0, 1)).allclose(moments, 0, 1e-12 * size));
    const at::Tensor energy = factor.square().sum(0);
    EXPECT_TRUE(energy.slice(0, 1).le(energy.slice(0, 0, -1)).all().item<bool>());
  }
  EXPECT_EQ(energy_factor(at::eye(3, at::kFloat)).scalar_type(), at::kFloat);
  const at::Tensor infinite = at::full({2, 2}, std::numeric_limits<double>::infinity());
  EXPECT_NE(refusal([&] { energy_factor(infinite); }).find("NaN or infinities"), std::string::npos);
}

TEST(QuadraticSearch, the_pair_is_that_of_all_scores) {
  at::manual_seed(4);
  for (const std::int64_t columns : {1, 5, 33, 150}) {
    for (const std::int64_t rank : {columns * 2, columns / 2 + 1}) {
      const at::Tensor weight = at::randn({9, columns}, at::kDouble);
      const at::Tensor moments = steep_moments(columns, rank);
      const Candidates all = candidates_of(weight, 7);
      const at::Tensor scores = scores_of(weight, all, 7, moments);
      const at::Tensor found = least_errors(weight, all.scale, all.zero, 7, energy_factor(moments));
      const at::Tensor least = scores.amin({1});
      const at::Tensor reached = scores.gather(1, found.unsqueeze(1)).squeeze(1);
      EXPECT_TRUE(reached.allclose(least, 1e-6, 1e-9 * least.max().item<double>()))
          << columns << " " << rank;
    }
  }
}

TEST(QuadraticSearch, many_rows_are_searched_part_by_part) {
  at::manual_seed(5);
  const at::Tensor weight = at::randn({700, 600}, at::kFloat);
  const at::Tensor moments = steep_moments(600, 900);
  const Candidates all = candidates_of(weight, 7);
  const at::Tensor factor = energy_factor(moments).to(at::kFloat);
  const at::Tensor found = least_errors(weight, all.scale, all.zero, 7, factor);
  for (const std::int64_t row : {0, 348, 349, 350, 699}) {
    const at::Tensor one = scores_of(
        weight.narrow(0, row, 1).to(at::kDouble),
        {all.scale.narrow(0, row, 1).to(at::kDouble), all.zero.narrow(0, row, 1).to(at::kDouble)},
        7, moments);
    const double least = one.min().item<double>();
    EXPECT_NEAR(one[0][found[row]].item<double>(), least, 1e-4 * least) << row;
  }
}

TEST(QuadraticSearch, the_first_of_equals_wins_and_no_score_is_none) {
  const at::Tensor weight = at::tensor({0.0, 0.5, -0.5, 1.0}, at::kDouble).reshape({1, 4});
  const at::Tensor scale = at::full({1, 60}, 0.5, at::kDouble), zero = at::full_like(scale, 4);
  const at::Tensor factor = at::eye(4, at::kDouble);
  EXPECT_EQ(least_errors(weight, scale, zero, 7, factor).item<std::int64_t>(), 0);
  const at::Tensor nothing = at::full_like(scale, std::numeric_limits<double>::quiet_NaN());
  EXPECT_EQ(least_errors(weight, nothing, zero, 7, factor).item<std::int64_t>(), -1);
}

TEST(QuadraticSearch, factors_serve_several_searches) {
  at::manual_seed(6);
  const at::Tensor weight = at::randn({2, 6, 24}, at::kDouble);
  const at::Tensor moments = at::stack({steep_moments(24, 60), steep_moments(24, 60)});
  for (const std::int64_t group : {-1, 7}) {
    GridOptions options{.bits = 3, .search = RangeSearch::kHessian};
    if (group > 0) {
      options.granularity = Granularity::kGroup;
      options.group = group;
    }
    const SearchFactors factors = search_factors(moments, options);
    EXPECT_EQ(factors.of_group.size(), group > 0 ? 4U : 1U);
    const Grid whole = find_grid(weight, options, moments);
    const Grid part = find_grid(weight.narrow(1, 2, 3), options, factors);
    EXPECT_TRUE(part.scale.equal(whole.scale.narrow(1, 2, 3)));
    EXPECT_TRUE(part.zero.equal(whole.zero.narrow(1, 2, 3)));
  }
  EXPECT_TRUE(search_factors(moments, {.search = RangeSearch::kMse}).of_group.empty());
}

}  // namespace
}  // namespace assay::quant
