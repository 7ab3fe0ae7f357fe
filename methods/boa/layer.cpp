#include "methods/boa/layer.h"

#include <ATen/ATen.h>

#include <vector>

#include "methods/quant/columns.h"
#include "methods/quant/factor.h"

namespace assay::boa {
namespace {

// A head whose moments are all 0 has rows that nothing couples.
at::Tensor damped_rows(const at::Tensor& row, double damping) {
  const at::Tensor damped = quant::with_damping(row, damping);
  return quant::with_dead_repaired(damped, 1);
}

// One order for all heads, [1, n], or one each, [heads, n].
at::Tensor order_of(const at::Tensor& moments, bool sorted) {
  const at::Tensor by_head = moments.dim() == 2 ? moments.unsqueeze(0) : moments;
  const at::Tensor diagonal = at::diagonal(by_head, 0, -2, -1);
  if (sorted) return at::argsort(diagonal, /*stable=*/true, -1, /*descending=*/true);
  return at::arange(diagonal.size(-1), diagonal.options().dtype(at::kLong)).expand_as(diagonal);
}

// x [heads, rows, columns] with its rows or columns in the order [heads or 1, n].
at::Tensor permuted(const at::Tensor& x, const at::Tensor& order, std::int64_t dimension) {
  std::vector<std::int64_t> shape = x.sizes().vec();
  const at::Tensor wide = dimension == 1 ? order.unsqueeze(-1) : order.unsqueeze(-2);
  return at::take_along_dim(x, wide.expand(shape), dimension);
}

// moments [heads, n, n] with rows and columns in the order.
at::Tensor permuted_moments(const at::Tensor& moments, const at::Tensor& order) {
  return permuted(permuted(moments, order, 1), order, 2);
}

// Weight, moments and grid of a layer, all heads at once, in the order of the walk.
struct Heads {
  at::Tensor weight;         // [heads, rows, columns]
  at::Tensor column_factor;  // [heads or 1, columns, columns]
  at::Tensor row_factor;     // [heads, rows, rows], or undefined
  quant::Grid grid;          // scale, zero: [heads, rows, groups]
  at::Tensor code;           // whole numbers, [heads, rows, columns]
};

// Rounds row r of every head, and moves the error of the whole row into the rows after it:
//   W[k] -= U_row[r, k] / U_row[r, r] (W[r] - Q[r]),  k > r
void round_row(Heads& heads, std::int64_t r) {
  const std::int64_t rows = heads.weight.size(1);
  quant::Grid grid = heads.grid;
  grid.scale = heads.grid.scale.narrow(1, r, 1);
  grid.zero = heads.grid.zero.narrow(1, r, 1);
  const at::Tensor before = heads.weight.narrow(1, r, 1);
  const quant::ColumnResult result = quant::gptq_columns(before, heads.column_factor, grid);
  heads.code.narrow(1, r, 1).copy_(result.code);
  const std::int64_t rest = rows - r - 1;
  if (rest == 0) return;
  const at::Tensor factor = heads.row_factor.select(1, r);  // [heads, rows]
  const at::Tensor share = factor.narrow(-1, r + 1, rest) / factor.narrow(-1, r, 1);
  heads.weight.narrow(1, r + 1, rest).sub_(share.unsqueeze(-1) * (before - result.rounded));
}

double two_sided_loss(const at::Tensor& difference, const at::Tensor& column,
                      const at::Tensor& row) {
  const at::Tensor right = at::matmul(difference, column);
  const at::Tensor left = row.defined() ? at::matmul(row, difference) : difference;
  return (left * right).sum(at::kDouble).item<double>() / 2;
}

}  // namespace

quant::LayerResult quantize_layer(const at::Tensor& weight, const at::Tensor& column,
                                  const at::Tensor& row, const Options& options,
                                  const std::string& name) {
  const at::Tensor columns = column.dim() == 2 ? column.unsqueeze(0) : column;
  const std::int64_t heads = row.defined() ? row.size(0) : columns.size(0);
  const at::Tensor damped =
      quant::with_damping(quant::with_dead_repaired(columns, options.dead_value), options.damping);
  const at::Tensor rows = row.defined() ? damped_rows(row, options.damping) : at::Tensor();
  const at::Tensor original = weight.reshape({heads, weight.size(0) / heads, weight.size(1)})
                                  .masked_fill(quant::dead_inputs(columns).unsqueeze(1), 0);

  Heads walk;
  const at::Tensor columns_in_order =
      order_of(quant::with_dead_repaired(columns, options.dead_value), options.act_order_columns);
  quant::Grid grid = quant::find_grid(
      original,
      {.bits = options.bits,
       .search = options.grid,
       .granularity = options.group < 0 ? quant::Granularity::kChannel : quant::Granularity::kGroup,
       .group = options.group,
       .symmetric = options.symmetric},
      options.grid == quant::RangeSearch::kHessian ? damped : at::Tensor());
  walk.grid = grid;
  walk.weight = permuted(original, columns_in_order, 2).clone();
  walk.column_factor = quant::inverse_factor(permuted_moments(damped, columns_in_order), name);
  at::Tensor rows_in_order;
  if (rows.defined()) {
    rows_in_order = order_of(row, options.act_order_rows);
    walk.weight = permuted(walk.weight, rows_in_order, 1).clone();
    walk.row_factor = quant::inverse_factor(permuted_moments(rows, rows_in_order), name);
    walk.grid.scale = permuted(grid.scale, rows_in_order, 1);
    walk.grid.zero = permuted(grid.zero, rows_in_order, 1);
    walk.code = at::empty_like(walk.weight);
    for (std::int64_t r = 0; r < walk.weight.size(1); ++r) round_row(walk, r);
    walk.code = permuted(walk.code, at::argsort(rows_in_order), 1);
  } else {
    walk.code = quant::gptq_columns(walk.weight, walk.column_factor, walk.grid).code;
  }
  const at::Tensor code = permuted(walk.code, at::argsort(columns_in_order), 2);

  quant::LayerResult out{.loss =
                             two_sided_loss(quant::decode(code, grid) - original, damped, rows)};
  grid.scale = grid.scale.reshape({weight.size(0), -1});
  grid.zero = grid.zero.reshape({weight.size(0), -1});
  out.layer.code = code.reshape_as(weight).to(options.bits <= 8 ? at::kByte : at::kInt);
  out.layer.grid = grid;
  out.weight = quant::decode(out.layer.code, grid);
  return out;
}

}  // namespace assay::boa
