#include "methods/quant/grid.h"

#include <ATen/ATen.h>

#include <algorithm>

namespace assay::quant {
namespace {

// Pairs laid out over the columns they belong to; [.., rows or 1, columns or 1].
at::Tensor over_columns(const at::Tensor& pairs, const Grid& grid, std::int64_t columns) {
  if (pairs.size(-1) == 1) return pairs;
  if (grid.perm.defined()) {
    return pairs.index_select(-1,
                              group_of_columns(columns, grid.group, grid.perm).to(pairs.device()));
  }
  return pairs.repeat_interleave(grid.group, -1).narrow(-1, 0, columns);
}

// One scale a weight: `count` of them from that of weight `begin`, with which a block begins.
at::Tensor over_weights(const Grid& grid, std::int64_t begin, std::int64_t count) {
  return grid.scale.reshape({-1, 1})
      .narrow(0, begin / grid.group, block_count(count, grid.group))
      .expand({-1, grid.group})
      .reshape({-1})
      .narrow(0, 0, count);
}

at::Tensor nearest_levels(const at::Tensor& weight, const Grid& grid) {
  const std::int64_t last = grid.levels.size(0) - 1;
  const at::Tensor midpoints =
      (grid.levels.narrow(0, 0, last) + grid.levels.narrow(0, 1, last)) / 2;
  const at::Tensor scale = over_weights(grid, 0, weight.numel()).reshape(weight.sizes());
  return at::bucketize(weight / scale, midpoints).to(weight.scalar_type());
}

// Decoded together: few enough to stay in a processor's cache from one operation to the next.
constexpr std::int64_t kPart = 1 << 16;

at::Tensor decode_levels(const at::Tensor& code, const Grid& grid) {
  const at::Tensor flat = code.reshape({-1});
  at::Tensor out = at::empty({flat.numel()}, grid.scale.options());
  const std::int64_t step = grid.group * std::max<std::int64_t>(1, kPart / grid.group);
  for (std::int64_t begin = 0; begin < flat.numel(); begin += step) {
    const std::int64_t count = std::min(step, flat.numel() - begin);
    out.narrow(0, begin, count)
        .copy_(grid.levels.index_select(0, flat.narrow(0, begin, count).to(at::kLong)))
        .mul_(over_weights(grid, begin, count));
  }
  return out.reshape(code.sizes());
}

// Whether every group of columns is a run of equal length.
bool has_even_groups(const Grid& grid, std::int64_t columns) {
  const bool even = grid.scale.size(-1) == 1 || columns % grid.group == 0;
  return even && !grid.zeta.defined() && !grid.perm.defined();
}

// Of stored codes [rows, columns], without a scale and zero point for every weight.
at::Tensor decode_even_groups(const at::Tensor& code, const Grid& grid) {
  const std::int64_t rows = code.size(0), groups = grid.scale.size(1);
  at::Tensor out = at::empty(code.sizes(), grid.scale.options());
  const std::int64_t step =
      std::max<std::int64_t>(1, kPart / std::max<std::int64_t>(1, code.size(1)));
  for (std::int64_t begin = 0; begin < rows; begin += step) {
    const std::int64_t count = std::min(step, rows - begin);
    const auto own = [&](const at::Tensor& pairs) {  // [count or 1, groups, 1]
      return (pairs.size(0) == 1 ? pairs : pairs.narrow(0, begin, count)).unsqueeze(-1);
    };
    out.narrow(0, begin, count)
        .view({count, groups, -1})
        .copy_(code.narrow(0, begin, count).reshape({count, groups, -1}))
        .sub_(own(grid.zero))
        .mul_(own(grid.scale));
  }
  return out;
}

}  // namespace

std::int64_t block_count(std::int64_t weights, std::int64_t group) {
  return (weights + group - 1) / group;
}

std::int64_t group_count(std::int64_t columns, std::int64_t group) {
  return group < 0 ? 1 : (columns + group - 1) / group;
}

at::Tensor group_of_columns(std::int64_t columns, std::int64_t group, const at::Tensor& perm) {
  const at::Tensor position = at::arange(columns, at::kLong);
  const std::int64_t width = group < 0 ? columns : group;
  if (!perm.defined()) return at::div(position, width, "floor");
  at::Tensor inverse = at::empty_like(position);
  inverse.index_put_({perm.cpu()}, position);
  return at::div(inverse, width, "floor");
}

at::Tensor step_of_columns(const Grid& grid, std::int64_t columns) {
  const at::Tensor scale = over_columns(grid.scale, grid, columns);
  return grid.zeta.defined() ? scale * grid.zeta : scale;
}

at::Tensor encode(const at::Tensor& weight, const Grid& grid) {
  if (grid.levels.defined()) return nearest_levels(weight, grid);
  const std::int64_t columns = weight.size(-1);
  const at::Tensor scaled = weight / step_of_columns(grid, columns);
  return at::clamp(at::round(scaled) + zero_of_columns(grid, columns), 0, grid.qmax());
}

at::Tensor zero_of_columns(const Grid& grid, std::int64_t columns) {
  return over_columns(grid.zero, grid, columns);
}

at::Tensor decode(const at::Tensor& code, const Grid& grid) {
  if (grid.levels.defined()) return decode_levels(code, grid);
  const std::int64_t columns = code.size(-1);
  const bool stored = code.dim() == 2 && !code.is_floating_point();
  if (stored && has_even_groups(grid, columns)) return decode_even_groups(code, grid);
  const at::Tensor centred = code.to(grid.scale.scalar_type()) - zero_of_columns(grid, columns);
  return step_of_columns(grid, columns) * centred;
}

at::Tensor fake_quantize(const at::Tensor& weight, const Grid& grid) {
  return decode(encode(weight, grid), grid);
}

at::Tensor as_matrix(const at::Tensor& weight) {
  return weight.dim() == 2 ? weight : weight.reshape({weight.size(0), -1});
}

}  // namespace assay::quant
