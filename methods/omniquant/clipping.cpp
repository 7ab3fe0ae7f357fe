#include "methods/omniquant/clipping.h"

#include <ATen/ATen.h>

#include <functional>

namespace assay::omniquant {
namespace {

constexpr double kSmallestGridScale = 1e-5, kLargestGridScale = 1e4;

// `reduce` of the last dimension, over the columns of every group: [rows, groups].
at::Tensor by_group(const at::Tensor& weight, std::int64_t group,
                    const std::function<at::Tensor(const at::Tensor&)>& reduce) {
  const std::int64_t columns = weight.size(1);
  if (group < 0 || group >= columns) return reduce(weight).unsqueeze(1);
  const std::int64_t whole = columns / group;
  const at::Tensor groups =
      reduce(weight.narrow(1, 0, whole * group).reshape({weight.size(0), whole, group}));
  if (whole * group == columns) return groups;
  const at::Tensor rest = weight.narrow(1, whole * group, columns - whole * group);
  return at::cat({groups, reduce(rest).unsqueeze(1)}, 1);
}

at::Tensor kept(const at::Tensor& end, const at::Tensor& logit) {
  return logit.defined() ? at::sigmoid(logit) * end : end;
}

}  // namespace

Clipping first_clipping(const at::Tensor& weight, std::int64_t group) {
  const std::int64_t groups = quant::group_count(weight.size(1), group);
  const at::Tensor logits = at::full({weight.size(0), groups}, kFirstLogit, weight.options());
  return {logits, logits.clone()};
}

quant::Grid clipped_grid(const at::Tensor& weight, const Clipping& clipping, int bits,
                         std::int64_t group) {
  const at::Tensor high = by_group(weight, group, [](const at::Tensor& x) { return x.amax(-1); });
  const at::Tensor low = by_group(weight, group, [](const at::Tensor& x) { return x.amin(-1); });
  const at::Tensor from = kept(low, clipping.low), to = kept(high, clipping.high);
  quant::Grid grid{.bits = bits, .group = group};
  grid.scale = at::clamp((to - from) / static_cast<double>(grid.qmax()), kSmallestGridScale,
                         kLargestGridScale);
  // 0 is added so that no zero point is -0.
  grid.zero = at::round(-from / grid.scale).detach() + 0.0;
  return grid;
}

}  // namespace assay::omniquant
