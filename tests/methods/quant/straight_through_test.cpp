#include "methods/quant/straight_through.h"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>
#include <gtest/gtest.h>

#include "methods/quant/grid_search.h"

namespace assay::quant {
namespace {

TEST(StraightThrough, rounds_to_the_bit_and_passes_gradients) {
  at::manual_seed(1);
  for (const double size : {1e-3, 1.0, 50.0, 3e7}) {
    at::Tensor x = (at::randn({1000}) * size).set_requires_grad(true);
    const at::Tensor rounded = round_through(x);
    EXPECT_TRUE(rounded.equal(at::round(x))) << size;
    rounded.sum().backward();
    EXPECT_TRUE(x.grad().eq(1).all().item<bool>());
  }
  EXPECT_TRUE(round_through(at::tensor({0.5f, 1.5f, -0.5f, 2.5f}))
                  .equal(at::tensor({0.f, 2.f, -0.f, 2.f})));
}

TEST(StraightThrough, weights_have_the_bits_of_their_grid) {
  at::manual_seed(2);
  for (const at::ScalarType type : {at::kFloat, at::kDouble}) {
    const at::Tensor weight = at::randn({6, 21}, type);
    for (const GridOptions& options :
         {GridOptions{.bits = 3}, GridOptions{.bits = 2, .granularity = Granularity::kTensor},
          GridOptions{.bits = 4, .granularity = Granularity::kGroup, .group = 8},
          GridOptions{.bits = 3, .search = RangeSearch::kMse}}) {
      const Grid grid = find_grid(weight, options);
      EXPECT_TRUE(fake_quantize_through(weight, grid).equal(fake_quantize(weight, grid)));
    }
  }
}

TEST(StraightThrough, gradients_of_a_weight_end_where_its_code_is_clamped) {
  const Grid grid{.bits = 2, .scale = at::ones({1, 1}), .zero = at::zeros({1, 1})};
  const at::Tensor weight = at::tensor({-2.f, 0.2f, 2.9f, 5.f}).reshape({1, 4});
  at::Tensor trained = weight.clone().set_requires_grad(true);
  fake_quantize_through(trained, grid).sum().backward();
  EXPECT_TRUE(trained.grad().equal(at::tensor({0.f, 1.f, 1.f, 0.f}).reshape({1, 4})));
}

TEST(StraightThrough, activations_have_the_bits_of_their_quantizer) {
  at::manual_seed(3);
  const at::Tensor x = at::randn({3, 5, 8});
  std::vector<ActivationQuantizer> quantizers = {static_quantizer({-1, 2}, 4, false, at::kFloat),
                                                 p1_quantizer({-1, 2}, 4, at::kFloat)};
  for (const ActivationScheme scheme :
       {ActivationScheme::kToken, ActivationScheme::kTensorDynamic}) {
    for (const bool symmetric : {false, true}) {
      quantizers.push_back({.scheme = scheme, .bits = 4, .symmetric = symmetric, .clip = 0.9});
    }
  }
  for (const ActivationQuantizer& quantizer : quantizers) {
    EXPECT_TRUE(fake_quantize_through(x, quantizer).equal(quantizer(x)));
  }
  StraightThroughTap tap({{"here", quantizers.back()}});
  EXPECT_TRUE(tap("here", x).equal(quantizers.back()(x)));
  EXPECT_TRUE(tap("there", x).is_same(x));
  EXPECT_TRUE(tap.wants("here"));
  EXPECT_FALSE(tap.wants("there"));
}

// value = scale (code - zero): x / scale is rounded with the derivative 1, so the largest and the
// smallest value get what the codes of the others leave.
TEST(StraightThrough, gradients_pass_through_the_range_of_a_token) {
  const at::Tensor values = at::tensor({-1.0, 0.3, 0.75, 2.0}, at::kDouble);
  at::Tensor x = values.clone().set_requires_grad(true);
  const ActivationQuantizer quantizer{.scheme = ActivationScheme::kToken, .bits = 2};
  fake_quantize_through(x.reshape({1, 4}), quantizer).sum().backward();
  // scale 1, zero 1; codes - zero -1, 0, 1, 2, so d value / d scale is 0, -0.3, 0.25, 0.
  const double slope = -0.05 / 3;
  EXPECT_TRUE(x.grad().allclose(at::tensor({1 - slope, 1.0, 1.0, 1 + slope}, at::kDouble), 1e-12));
}

}  // namespace
}  // namespace assay::quant
