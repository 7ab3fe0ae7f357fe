#include "methods/quant/moments.h"

#include <ATen/ATen.h>
#include <fmt/format.h>

#include <algorithm>

#include "harness/base/error.h"

namespace assay::quant {
namespace {

// x^T x [features, features] of x [rows, features], in strips of rows: what stands below the
// diagonal is copied, not computed again.
at::Tensor second_moments(const at::Tensor& x) {
  constexpr std::int64_t kStrip = 256;
  const std::int64_t features = x.size(1);
  if (features < 2 * kStrip) return at::matmul(x.t(), x);
  at::Tensor all = at::empty({features, features}, x.options());
  for (std::int64_t first = 0; first < features; first += kStrip) {
    const std::int64_t width = std::min(kStrip, features - first), rest = features - first - width;
    const at::Tensor own = x.narrow(1, first, width).t();
    at::Tensor strip = all.narrow(0, first, width).narrow(1, first, features - first);
    strip.copy_(at::matmul(own, x.narrow(1, first, features - first)));
    if (rest == 0) break;
    all.narrow(0, first + width, rest)
        .narrow(1, first, width)
        .copy_(strip.narrow(1, width, rest).t());
  }
  return all;
}

}  // namespace

void MomentAccumulator::add(const at::Tensor& inputs) {
  const at::Tensor flat = inputs.reshape({-1, inputs.size(-1)});
  const at::Tensor partial = second_moments(flat);
  if (sum_.defined()) {
    sum_.add_(partial);  // in float64
  } else {
    sum_ = partial.to(at::kDouble, /*non_blocking=*/false, /*copy=*/true);
  }
  type_ = inputs.scalar_type();
  tokens_ += flat.size(0);
  sequences_ += inputs.size(0);
}

at::Tensor MomentAccumulator::hessian(MomentUnit unit) const {
  if (!sum_.defined()) throw Error(ErrorKind::kMethod, "no inputs were seen");
  if (!sum_.isfinite().all().item<bool>()) {
    throw Error(ErrorKind::kMethod, "the inputs, or their squares, are NaN or infinite");
  }
  const auto n = static_cast<double>(unit == MomentUnit::kToken ? tokens_ : sequences_);
  return (sum_ * (2.0 / n)).to(type_);
}

at::Tensor MomentTap::operator()(std::string_view site, const at::Tensor& value) {
  const auto found = moments_.find(site);
  if (found != moments_.end()) found->second.add(chunk_ ? chunk_->counted(value) : value);
  return value;
}

at::Tensor MomentTap::hessian(const std::string& site, MomentUnit unit) const {
  try {
    return moments_.at(site).hessian(unit);
  } catch (const Error& error) {
    throw Error(error.kind(), fmt::format("second moments at '{}': {}", site, error.what()),
                {{"site", site}});
  }
}

}  // namespace assay::quant
