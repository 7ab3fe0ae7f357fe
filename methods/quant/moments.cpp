#include "methods/quant/moments.h"

#include <ATen/ATen.h>
#include <fmt/format.h>

#include "harness/base/error.h"

namespace assay::quant {

void MomentAccumulator::add(const at::Tensor& inputs) {
  const at::Tensor flat = inputs.reshape({-1, inputs.size(-1)});
  const at::Tensor partial = at::matmul(flat.t(), flat);
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
