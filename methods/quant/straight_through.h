#pragma once

#include <ATen/core/Tensor.h>

#include <map>
#include <string>
#include <string_view>

#include "harness/models/tap.h"
#include "methods/quant/activation.h"
#include "methods/quant/grid.h"

// Rounding that gradients pass: the straight-through estimator (Bengio et al. 2013, arXiv
// 1308.3432). Values are those of the functions without gradients, to the bit.

namespace assay::quant {

// round(x), half to even; its derivative is 1.
at::Tensor round_through(const at::Tensor& x);

// fake_quantize(weight, grid) of an affine grid. Gradients reach the weight where its code is not
// clamped, and the scales everywhere; zero points are constants.
at::Tensor fake_quantize_through(const at::Tensor& weight, const Grid& grid);

// quantizer(x) for float32 and float64. Gradients reach x, through dynamic ranges too; zero points
// are constants.
at::Tensor fake_quantize_through(const at::Tensor& x, const ActivationQuantizer& quantizer);

// As ActivationTap.
class StraightThroughTap : public models::Tap {
 public:
  explicit StraightThroughTap(std::map<std::string, ActivationQuantizer, std::less<>> quantizers)
      : quantizers_(std::move(quantizers)) {}

  at::Tensor operator()(std::string_view site, const at::Tensor& value) override;
  bool passive() const override { return quantizers_.empty(); }
  bool wants(std::string_view site) const override { return quantizers_.contains(site); }

 private:
  std::map<std::string, ActivationQuantizer, std::less<>> quantizers_;
};

}  // namespace assay::quant
