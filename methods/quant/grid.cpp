#include "methods/quant/grid.h"

#include <ATen/ATen.h>

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

// One scale a weight, in the shape of the matrix `like`.
at::Tensor over_weights(const Grid& grid, const at::Tensor& like) {
  return grid.scale.reshape({-1, 1})
      .expand({-1, grid.group})
      .reshape({-1})
      .narrow(0, 0, like.numel())
      .reshape(like.sizes());
}

at::Tensor nearest_levels(const at::Tensor& weight, const Grid& grid) {
  const std::int64_t last = grid.levels.size(0) - 1;
  const at::Tensor midpoints =
      (grid.levels.narrow(0, 0, last) + grid.levels.narrow(0, 1, last)) / 2;
  return at::bucketize(weight / over_weights(grid, weight), midpoints).to(weight.scalar_type());
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
  if (grid.levels.defined()) {
    const at::Tensor value = grid.levels.index_select(0, code.reshape({-1}).to(at::kLong));
    return over_weights(grid, code) * value.reshape(code.sizes());
  }
  const std::int64_t columns = code.size(-1);
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
