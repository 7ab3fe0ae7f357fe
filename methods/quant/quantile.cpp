#include "methods/quant/quantile.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <cmath>
#include <limits>

namespace assay::quant {

at::Tensor quantile(const at::Tensor& rows, double q) {
  const std::int64_t n = rows.size(-1);
  const double position = q * static_cast<double>(n - 1);
  const auto below = static_cast<std::int64_t>(std::floor(position));
  const auto ranked = [&](std::int64_t index) {  // kthvalue counts from 1
    return std::get<0>(at::kthvalue(rows, std::min(index, n - 1) + 1, -1, /*keepdim=*/true))
        .to(at::kDouble);
  };
  const at::Tensor low = ranked(below);
  const at::Tensor value = low + (ranked(below + 1) - low) * (position - std::floor(position));
  return value
      .masked_fill(rows.isnan().any(-1, /*keepdim=*/true), std::numeric_limits<double>::quiet_NaN())
      .to(rows.scalar_type());
}

}  // namespace assay::quant
