#include "methods/awq/clip_search.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <limits>
#include <vector>

namespace assay::awq {
namespace {

// One group of columns, which shares its grid.
at::Tensor clipped_group(const at::Tensor& weight, const at::Tensor& moments,
                         const Options& options) {
  Options whole = options;
  whole.group = -1;
  const at::Tensor largest = weight.abs().amax({1}, true);  // [rows, 1]
  at::Tensor best = weight;
  at::Tensor least = at::full_like(largest, std::numeric_limits<double>::infinity());
  for (std::int64_t i = 0; i < options.clip_steps; ++i) {
    const double share = 1 - (1 - options.clip_min) * static_cast<double>(i) /
                                 static_cast<double>(options.clip_steps);
    const at::Tensor limit = largest * share;
    const at::Tensor clamped = at::minimum(at::maximum(weight, -limit), limit);
    const at::Tensor delta =
        quant::fake_quantize(clamped, quant::find_grid(clamped, grid_of(whole))) - weight;
    const at::Tensor error = (at::matmul(delta, moments) * delta).sum({1}, true);
    const at::Tensor better = error < least;
    least = at::where(better, error, least);
    best = at::where(better, clamped, best);
  }
  return best;
}

}  // namespace

at::Tensor clipped(const at::Tensor& weight, const at::Tensor& moments, const Options& options) {
  const std::int64_t columns = weight.size(1);
  const std::int64_t group = options.group < 0 ? columns : options.group;
  std::vector<at::Tensor> groups;
  for (std::int64_t begin = 0; begin < columns; begin += group) {
    const std::int64_t width = std::min(group, columns - begin);
    groups.push_back(clipped_group(weight.narrow(1, begin, width),
                                   moments.narrow(0, begin, width).narrow(1, begin, width),
                                   options));
  }
  return at::cat(groups, 1);
}

}  // namespace assay::awq
