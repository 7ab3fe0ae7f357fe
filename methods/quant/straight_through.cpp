#include "methods/quant/straight_through.h"

#include <ATen/ATen.h>

namespace assay::quant {
namespace {

// x / scale -> its value. `order`: where the zero point is added.
at::Tensor value_through(const at::Tensor& scaled, const at::Tensor& scale, const at::Tensor& zero,
                         double qmax, RoundingOrder order) {
  const at::Tensor code = order == RoundingOrder::kZeroThenRound ? round_through(scaled + zero)
                                                                 : round_through(scaled) + zero;
  // Not by clamp(), which LibTorch lets no gradient pass at its ends: half of all codes of 2 bits.
  const at::Tensor inside = code.ge(0).logical_and(code.le(qmax));
  return (at::where(inside, code, at::clamp(code.detach(), 0, qmax)) - zero) * scale;
}

}  // namespace

at::Tensor round_through(const at::Tensor& x) {
  // The difference is at most a half and a multiple of the last place of x, so it is exact, and so
  // is the sum.
  return x + (at::round(x) - x).detach();
}

at::Tensor fake_quantize_through(const at::Tensor& weight, const Grid& grid) {
  const std::int64_t columns = weight.size(-1);
  const at::Tensor step = step_of_columns(grid, columns);
  return value_through(weight / step, step, zero_of_columns(grid, columns).detach(),
                       static_cast<double>(grid.qmax()), RoundingOrder::kRoundThenZero);
}

at::Tensor fake_quantize_through(const at::Tensor& x, const ActivationQuantizer& quantizer) {
  const ScalePair pair = scale_pair(x, quantizer);
  return value_through(x / pair.scale, pair.scale, pair.zero.detach(), highest_code(quantizer),
                       quantizer.order);
}

at::Tensor StraightThroughTap::operator()(std::string_view site, const at::Tensor& value) {
  const auto found = quantizers_.find(site);
  return found == quantizers_.end() ? value : fake_quantize_through(value, found->second);
}

}  // namespace assay::quant
