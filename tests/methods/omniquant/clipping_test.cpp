#include "methods/omniquant/clipping.h"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "methods/quant/grid_search.h"
#include "methods/quant/straight_through.h"

namespace assay::omniquant {
namespace {

at::Tensor weights(std::int64_t rows, std::int64_t columns) {
  at::manual_seed(3);
  return at::randn({rows, columns}, at::kDouble);
}

TEST(Clipping, starts_at_nearly_the_whole_range) {
  const at::Tensor weight = weights(5, 12);
  const Clipping first = first_clipping(weight, 5);
  EXPECT_EQ(first.high.sizes(), at::IntArrayRef({5, 3}));
  EXPECT_TRUE(first.high.eq(4).all().item<bool>());
  EXPECT_TRUE(first.low.eq(4).all().item<bool>());
  const quant::Grid grid = clipped_grid(weight, first_clipping(weight, -1), 4, -1);
  const double kept = 1 / (1 + std::exp(-4.0));
  EXPECT_NEAR(kept, 0.982, 1e-4);
  EXPECT_TRUE(
      (grid.scale.squeeze(1) * 15).allclose((weight.amax(1) - weight.amin(1)) * kept, 1e-12));
}

TEST(Clipping, grids_are_those_of_a_loop_over_rows_and_groups) {
  const at::Tensor weight = weights(4, 11);
  for (const std::int64_t group : {-1, 3, 4, 11, 40}) {
    Clipping clipping = first_clipping(weight, group);
    clipping.high = at::randn_like(clipping.high);
    clipping.low = at::randn_like(clipping.low);
    const quant::Grid grid = clipped_grid(weight, clipping, 3, group);
    const std::int64_t width = group < 0 ? 11 : group;
    ASSERT_EQ(grid.scale.size(1), (11 + width - 1) / width);
    for (std::int64_t row = 0; row < 4; ++row) {
      for (std::int64_t g = 0; g < grid.scale.size(1); ++g) {
        double low = INFINITY, high = -INFINITY;
        for (std::int64_t c = g * width; c < std::min<std::int64_t>(11, (g + 1) * width); ++c) {
          low = std::min(low, weight[row][c].item<double>());
          high = std::max(high, weight[row][c].item<double>());
        }
        low /= 1 + std::exp(-clipping.low[row][g].item<double>());
        high /= 1 + std::exp(-clipping.high[row][g].item<double>());
        const double scale = std::max((high - low) / 7, 1e-5);
        EXPECT_NEAR(grid.scale[row][g].item<double>(), scale, 1e-12);
        EXPECT_EQ(grid.zero[row][g].item<double>(), std::nearbyint(-low / scale));
      }
    }
  }
}

TEST(Clipping, without_logits_it_is_the_whole_range_and_no_zero_point_is_clamped) {
  const at::Tensor weight = at::tensor({1.0, 1.25, 1.5, 1.75}).reshape({1, 4});
  const quant::Grid grid = clipped_grid(weight, {}, 2, -1);
  EXPECT_NEAR(grid.scale.item<double>(), 0.25, 1e-12);
  EXPECT_EQ(grid.zero.item<double>(), -4);
  EXPECT_TRUE(quant::fake_quantize(weight, grid).equal(weight));
  const quant::Grid zeros = clipped_grid(at::zeros({2, 4}, at::kDouble), {}, 2, -1);
  EXPECT_TRUE(zeros.scale.eq(1e-5).all().item<bool>());
  EXPECT_FALSE(at::signbit(zeros.zero).any().item<bool>());
}

// Codes stay as they are under so small a step, zero points are constants.
TEST(Clipping, gradients_are_those_of_differences) {
  const at::Tensor weight = weights(3, 8);
  const at::Tensor probe = at::randn({3, 8}, at::kDouble);
  for (const std::int64_t group : {-1, 3}) {
    Clipping clipping = first_clipping(weight, group);
    for (at::Tensor* logits : {&clipping.high, &clipping.low}) {
      *logits = (*logits * 0.25 + at::rand_like(*logits)).detach().set_requires_grad(true);
    }
    const quant::Grid grid = clipped_grid(weight, clipping, 3, group);
    (quant::fake_quantize_through(weight, grid) * probe).sum().backward();
    const at::NoGradGuard no_gradients;
    const at::Tensor scale = quant::step_of_columns(grid, 8);
    const at::Tensor zero = quant::zero_of_columns(grid, 8);
    const at::Tensor scaled = weight / scale, wide = at::round(scaled) + zero;
    const at::Tensor code = at::clamp(wide, 0, 7);
    // With the derivative of rounding 1: code - zero, less w / scale where nothing is clamped.
    const at::Tensor by_scale =
        code - zero - at::where(wide.eq(code), scaled, at::zeros_like(scaled));
    for (auto [logits, extreme, sign] :
         {std::tuple(clipping.high, true, 1.0), std::tuple(clipping.low, false, -1.0)}) {
      for (std::int64_t row = 0; row < 3; ++row) {
        for (std::int64_t g = 0; g < logits.size(1); ++g) {
          const std::int64_t width = group < 0 ? 8 : group, from = g * width;
          const std::int64_t count = std::min(width, 8 - from);
          const at::Tensor part = weight[row].narrow(0, from, count);
          const double end = (extreme ? part.max() : part.min()).item<double>();
          const double share = at::sigmoid(logits[row][g]).item<double>();
          const double slope = (by_scale * probe)[row].narrow(0, from, count).sum().item<double>();
          EXPECT_NEAR(logits.grad()[row][g].item<double>(),
                      sign * slope * end * share * (1 - share) / 7, 1e-10);
        }
      }
    }
  }
}

}  // namespace
}  // namespace assay::omniquant
