#include "methods/quant/rounding_error.h"

#include <ATen/ATen.h>

#include "methods/quant/grid_loops.h"

namespace assay::quant {
namespace {

template <typename T>
at::Tensor errors_in_one_pass(const at::Tensor& weight, const at::Tensor& scale,
                              const at::Tensor& zero, double qmax) {
  const at::Tensor in = weight.contiguous();
  const at::Tensor scales = scale.contiguous(), zeros = zero.contiguous();
  at::Tensor out = at::empty({scale.size(0), scale.size(1), weight.size(1)}, weight.options());
  rounding_errors(RowErrors<T>{.rows = in.size(0),
                               .columns = in.size(1),
                               .pairs = scales.size(1),
                               .values = in.const_data_ptr<T>(),
                               .scale = scales.const_data_ptr<T>(),
                               .zero = zeros.const_data_ptr<T>(),
                               .highest = static_cast<T>(qmax),
                               .out = out.mutable_data_ptr<T>()});
  return out;
}

}  // namespace

at::Tensor rounding_error(const at::Tensor& weight, const at::Tensor& scale, const at::Tensor& zero,
                          double qmax) {
  if (weight.numel() == 0) return at::empty_like(weight);
  const std::int64_t columns = weight.size(-1);
  if (scale.numel() * columns != weight.numel() || zero.numel() != scale.numel()) {
    const at::Tensor code = at::clamp(at::round(weight / scale) + zero, 0, qmax);
    return scale * (code - zero) - weight;
  }
  return rounding_errors(weight.reshape({-1, columns}), scale.reshape({-1, 1}),
                         zero.reshape({-1, 1}), qmax)
      .reshape(weight.sizes());
}

at::Tensor rounding_errors(const at::Tensor& weight, const at::Tensor& scale,
                           const at::Tensor& zero, double qmax) {
  const bool plain = weight.is_cpu() && weight.numel() > 0;
  if (plain && weight.scalar_type() == at::kFloat) {
    return errors_in_one_pass<float>(weight, scale, zero, qmax);
  }
  if (plain && weight.scalar_type() == at::kDouble) {
    return errors_in_one_pass<double>(weight, scale, zero, qmax);
  }
  const at::Tensor w = weight.unsqueeze(1), s = scale.unsqueeze(-1), z = zero.unsqueeze(-1);
  return s * (at::clamp(at::round(w / s) + z, 0, qmax) - z) - w;
}

}  // namespace assay::quant
