#include "methods/quant/factor.h"

#include <ATen/ATen.h>
#include <fmt/format.h>

#include "harness/base/error.h"

namespace assay::quant {

at::Tensor dead_inputs(const at::Tensor& hessian) { return at::diagonal(hessian, 0, -2, -1).eq(0); }

at::Tensor with_dead_repaired(const at::Tensor& hessian, double value) {
  at::Tensor out = hessian.clone();
  at::Tensor diagonal = at::diagonal(out, 0, -2, -1);
  diagonal.masked_fill_(dead_inputs(hessian), value);
  return out;
}

at::Tensor with_damping(const at::Tensor& hessian, double ratio) {
  at::Tensor out = hessian.clone();
  at::Tensor diagonal = at::diagonal(out, 0, -2, -1);
  diagonal.add_(ratio * diagonal.mean(-1, true));
  return out;
}

at::Tensor inverse_factor(const at::Tensor& hessian, const std::string& layer) {
  constexpr int kAttempts = 20;
  at::Tensor damped = hessian;
  for (int attempt = 0; attempt <= kAttempts; ++attempt) {
    auto [lower, info] = at::linalg_cholesky_ex(at::flip(damped, {-2, -1}));
    if (info.eq(0).all().item<bool>() && lower.isfinite().all().item<bool>()) {
      damped.reset();
      const at::Tensor upper = at::flip(lower, {-2, -1});
      lower.reset();  // each of these may be larger than the weight
      const at::Tensor identity = at::eye(hessian.size(-1), hessian.options());
      return at::linalg_solve_triangular(upper, identity.expand_as(hessian).contiguous(), true);
    }
    damped = with_damping(damped, 0.01);
  }
  throw Error(ErrorKind::kMethod,
              fmt::format("the second moments of layer '{}' do not factor even after damping {} "
                          "times by 1 % of their mean diagonal: more or other calibration data, or "
                          "a larger damping, may help",
                          layer, kAttempts),
              {{"layer", layer}});
}

}  // namespace assay::quant
