#include "harness/models/kernels/rows.h"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <c10/core/GradMode.h>
#include <gtest/gtest.h>

#include <limits>

#include "harness/models/kernels/usable.h"
#include "harness/models/layers.h"
#include "harness/models/rotary.h"

namespace assay::models::kernels {
namespace {

class Rows : public ::testing::Test {
 protected:
  void SetUp() override {
    at::set_num_threads(1);
    if (!usable(at::zeros({1}))) GTEST_SKIP() << "this processor runs ATen's kernels";
  }

  static at::Tensor some(std::int64_t rows, std::int64_t width, double spread, double phase) {
    return (at::arange(rows * width, at::kDouble) * 0.7390851 + phase)
        .sin()
        .mul(spread)
        .to(at::kFloat)
        .view({rows, width});
  }

  static double error(const at::Tensor& got, const at::Tensor& right) {
    return ((got.to(at::kDouble) - right).abs().max() / right.abs().max()).item<double>();
  }

  const at::NoGradGuard no_grad_;
};

constexpr double kUlp = 0x1p-23;

TEST_F(Rows, layer_norm_agrees_with_float64_at_any_width) {
  for (const std::int64_t width : {1, 2, 7, 8, 15, 16, 17, 48, 100, 768}) {
    const at::Tensor x = some(5, width, 3.0, 0.1) + 1.0;
    const at::Tensor weight = some(1, width, 1.0, 0.2).view({width});
    const at::Tensor bias = some(1, width, 1.0, 0.3).view({width});
    const at::Tensor right = at::layer_norm(x.to(at::kDouble), {width}, weight.to(at::kDouble),
                                            bias.to(at::kDouble), 1e-6);
    const LayerNorm norm{weight, bias, 1e-6};
    EXPECT_LT(error(norm(x), right), 4 * kUlp) << width;
  }
}

TEST_F(Rows, layer_norm_of_rows_far_from_zero_keeps_its_digits) {
  const at::Tensor x = some(3, 48, 1.0, 0.1) + 1000.0;
  const LayerNorm norm{at::ones({48}), at::zeros({48}), 1e-6};
  const at::Tensor right = at::layer_norm(x.to(at::kDouble), {48}, {}, {}, 1e-6);
  EXPECT_LT(error(norm(x), right), 2e-4);  // the mean of such rows has an ulp of 6e-5
}

TEST_F(Rows, rms_norm_agrees_with_float64_at_any_width) {
  for (const std::int64_t width : {1, 2, 7, 8, 15, 16, 17, 96, 100, 768}) {
    const at::Tensor x = some(5, width, 3.0, 0.1);
    const at::Tensor weight = some(1, width, 1.0, 0.2).view({width});
    const at::Tensor wide = x.to(at::kDouble);
    const at::Tensor right =
        wide / (wide.square().mean(-1, true) + 1e-5).sqrt() * weight.to(at::kDouble);
    const RmsNorm norm{weight, 1e-5};
    EXPECT_LT(error(norm(x), right), 3 * kUlp) << width;
  }
}

TEST_F(Rows, swiglu_is_within_three_ulp_of_every_value) {
  const at::Tensor gate =
      at::cat({at::linspace(-80, 80, 4001), at::tensor({0.0f, -1e-30f, 1e30f})});
  const at::Tensor up = at::full_like(gate, 1.5);
  const at::Tensor right = at::silu(gate.to(at::kDouble)) * 1.5;
  const at::Tensor got = apply_swiglu(gate.clone(), up).to(at::kDouble);
  const at::Tensor off = (got - right).abs() / (right.abs() + std::numeric_limits<float>::min());
  EXPECT_LT(off.max().item<double>(), 3 * kUlp);
}

TEST_F(Rows, swiglu_far_out_is_its_limit) {
  const float infinity = std::numeric_limits<float>::infinity();
  const at::Tensor gate = at::tensor({-1000.0f, -1e30f, 1e30f, std::nanf(""), infinity});
  const at::Tensor got = apply_swiglu(gate.clone(), at::ones({5}));
  EXPECT_LT(got[0].abs().item<float>(), 1e-30f);
  EXPECT_EQ(got[2].item<float>(), 1e30f);
  EXPECT_TRUE(at::isnan(got[3]).item<bool>());
  EXPECT_EQ(got[4].item<float>(), infinity);
}

TEST_F(Rows, rotations_agree_with_float64_and_leave_a_shared_tensor_alone) {
  for (const std::int64_t width : {2, 4, 8, 14, 24, 32, 50, 64}) {
    const Rotary rotary(width, 10000.0, Json());
    const at::Tensor x = some(2 * 11 * 3, width, 1.0, 0.1).view({2, 11, 3, width});
    const at::Tensor before = x.clone();
    const at::Tensor right = Rotary(width, 10000.0, Json())(x.to(at::kDouble));
    EXPECT_LT(error(rotary(x), right), 2 * kUlp) << width;
    EXPECT_TRUE(at::equal(x, before));
    EXPECT_LT(error(rotary(x.clone()), right), 2 * kUlp) << width;
    const at::Tensor strided = x.transpose(1, 2).contiguous().transpose(1, 2);
    EXPECT_LT(error(rotary(strided), right), 2 * kUlp) << width;
  }
}

}  // namespace
}  // namespace assay::models::kernels
