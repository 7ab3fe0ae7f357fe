#include "methods/quant/two_sided.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <map>
#include <string>
#include <vector>

#include "harness/base/error.h"
#include "harness/models/block_rotation.h"
#include "methods/quant/columns.h"
#include "methods/quant/factor.h"
#include "methods/quant/in_layer.h"

namespace assay::quant {
namespace {

// One order for all heads, [1, n], or one each, [heads, n].
at::Tensor order_of(const at::Tensor& moments, bool sorted) {
  const at::Tensor diagonal = at::diagonal(moments, 0, -2, -1);
  if (sorted) return at::argsort(diagonal, /*stable=*/true, -1, /*descending=*/true);
  return at::arange(diagonal.size(-1), diagonal.options().dtype(at::kLong)).expand_as(diagonal);
}

// x [heads, rows, columns] with its rows (dimension 1) or columns (2) in the order [heads or 1, n].
at::Tensor permuted(const at::Tensor& x, const at::Tensor& order, std::int64_t dimension) {
  const at::Tensor wide = dimension == 1 ? order.unsqueeze(-1) : order.unsqueeze(-2);
  return at::take_along_dim(x, wide.expand(x.sizes()), dimension);
}

// moments [heads or 1, n, n] with rows and columns in the order [heads or 1, n].
at::Tensor permuted_moments(const at::Tensor& moments, const at::Tensor& order) {
  std::vector<std::int64_t> shape = moments.sizes().vec();
  shape[0] = std::max(moments.size(0), order.size(0));
  return permuted(permuted(moments.expand(shape), order, 1), order, 2);
}

GridOptions grid_options(const TwoSidedOptions& options) {
  return {.bits = options.bits,
          .search = options.grid,
          .granularity = options.group < 0 ? Granularity::kChannel : Granularity::kGroup,
          .group = options.group,
          .symmetric = options.symmetric};
}

// The rows of a layer, all heads at once, in the order of the walk.
struct HeadRows {
  const TwoSidedOptions& options;
  at::Tensor weight;    // [heads, rows, columns]; later rows take up the errors of earlier ones
  at::Tensor original;  // the same before
  at::Tensor column;    // repaired and damped, [heads or 1, columns, columns]
  at::Tensor row;       // damped, [heads, rows, rows], or undefined
  at::Tensor upstream;  // alpha times the moments' upstream, [heads or 1, ..], or undefined
  at::Tensor column_factor, row_factor;
  SearchFactors factors;
  at::Tensor drift;  // what the error of the inputs moves from column to column
  Grid grid;         // scale, zero: [heads, rows, groups]
  at::Tensor code;   // whole numbers

  std::int64_t rows() const { return weight.size(1); }

  Grid grid_of_rows(std::int64_t begin, std::int64_t count) {
    if (options.adaptive_grid) {
      const Grid found = find_grid(weight.narrow(1, begin, count), grid_options(options), factors);
      grid.scale.narrow(1, begin, count).copy_(found.scale);
      grid.zero.narrow(1, begin, count).copy_(found.zero);
    }
    Grid part = grid;
    part.scale = grid.scale.narrow(1, begin, count);
    part.zero = grid.zero.narrow(1, begin, count);
    return part;
  }

  // Rounds rows begin .. begin + count - 1 of every head as GPTQ does, then moves their errors into
  // the rows after them:
  //   W[rest] -= U[b, rest]^T U[b, b]^-T ((W_b - Q_b) + W_b R column^-1)
  void round_rows(std::int64_t begin, std::int64_t count) {
    const at::Tensor before = weight.narrow(1, begin, count).clone();
    const ColumnResult result =
        gptq_columns(before, column_factor, grid_of_rows(begin, count), {.drift = drift});
    code.narrow(1, begin, count).copy_(result.code);
    const std::int64_t end = begin + count, rest = rows() - end;
    if (rest == 0 || !row.defined()) return;
    at::Tensor moved = before - result.rounded;
    if (upstream.defined()) {
      moved = moved +
              at::matmul(at::matmul(at::matmul(before, upstream), column_factor.transpose(-2, -1)),
                         column_factor);
    }
    const at::Tensor own = row_factor.narrow(1, begin, count);
    const at::Tensor diagonal = own.narrow(2, begin, count), right = own.narrow(2, end, rest);
    at::Tensor share;  // [heads, rest, count]
    if (count == 1) {
      share = (right / diagonal).transpose(1, 2);
    } else {
      share = at::linalg_solve_triangular(diagonal, right, true).transpose(1, 2);
    }
    weight.narrow(1, end, rest).sub_(at::matmul(share, moved));
  }

  // Coordinate descent of the two-sided loss over the scales with the codes as they are; a row
  // whose codes all stand on the zero point has no say.
  void refine_scales() {
    const at::Tensor whole = code - grid.zero;
    const at::Tensor aimed = upstream.defined() ? at::matmul(original, upstream) : at::Tensor();
    const std::int64_t step = row.defined() ? 1 : rows();
    at::Tensor value = grid.scale * whole;
    for (std::int64_t begin = 0; begin < rows(); begin += step) {
      const at::Tensor own = whole.narrow(1, begin, step);
      // [heads, step, rows] of what couples; the identity where nothing does.
      const auto coupled = [&](const at::Tensor& x) {
        return row.defined() ? at::matmul(row.narrow(1, begin, step), x) : x;
      };
      at::Tensor pull = at::matmul(coupled(original - value), column);
      if (aimed.defined()) pull = pull + coupled(aimed);
      at::Tensor norm = (at::matmul(own, column) * own).sum(-1, true);
      if (row.defined()) norm = norm * row.narrow(1, begin, 1).narrow(2, begin, 1);
      at::Tensor scale = grid.scale.narrow(1, begin, step);
      const at::Tensor moved = scale + (pull * own).sum(-1, true) / norm;
      scale.copy_(at::where(norm.gt(0).logical_and(moved.gt(0)), moved, scale));
      value.narrow(1, begin, step).copy_(scale * own);
    }
  }
};

double two_sided_loss(const at::Tensor& difference, const at::Tensor& column,
                      const at::Tensor& row) {
  const at::Tensor right = at::matmul(difference, column);
  const at::Tensor left = row.defined() ? at::matmul(row, difference) : difference;
  return (left * right).sum(at::kDouble).item<double>() / 2;
}

void require_compatible(const TwoSidedOptions& options) {
  if (options.group < 0 || (!options.act_order_columns && options.refine_sweeps == 0)) return;
  throw Error(ErrorKind::kConfig,
              "groups of columns go neither with an order of columns nor with refined scales");
}

at::Tensor as_heads(const at::Tensor& moments) {
  return !moments.defined() || moments.dim() == 3 ? moments : moments.unsqueeze(0);
}

// A head whose moments are all 0 has rows that nothing couples.
at::Tensor damped_rows(const at::Tensor& row, double damping) {
  return with_dead_repaired(with_damping(row, damping), 1);
}

}  // namespace

LayerResult quantize_two_sided(const at::Tensor& weight, const LayerMoments& moments,
                               const TwoSidedOptions& options) {
  require_compatible(options);
  const std::string& name = moments.layer.name;
  const double dead_value =
      options.dead_value > 0 ? options.dead_value : 1.0 / static_cast<double>(moments.length);
  const at::Tensor repaired = with_dead_repaired(as_heads(moments.column), dead_value);
  const std::int64_t heads = moments.row.defined() ? moments.row.size(0) : repaired.size(0);
  const at::Tensor by_columns = order_of(repaired, options.act_order_columns);
  HeadRows walk{.options = options};
  walk.column = permuted_moments(with_damping(repaired, options.damping), by_columns);
  walk.original = permuted(weight.reshape({heads, weight.size(0) / heads, weight.size(1)})
                               .masked_fill(dead_inputs(as_heads(moments.column)).unsqueeze(1), 0),
                           by_columns, 2);
  if (options.alpha > 0 && moments.upstream.defined()) {
    walk.upstream = permuted_moments(as_heads(moments.upstream) * options.alpha, by_columns);
  }
  at::Tensor by_rows;
  if (moments.row.defined()) {
    by_rows = order_of(moments.row, options.act_order_rows);
    walk.row = permuted_moments(damped_rows(moments.row, options.damping), by_rows);
    walk.original = permuted(walk.original, by_rows, 1);
    walk.row_factor = inverse_factor(walk.row, name);
  }
  walk.column_factor = inverse_factor(walk.column, name);
  if (walk.upstream.defined()) {
    const at::Tensor factor = walk.column_factor;
    walk.drift = at::matmul(at::matmul(walk.upstream, factor.transpose(-2, -1)).triu(1), factor);
  }
  walk.factors = search_factors(walk.column, grid_options(options));
  walk.grid = find_grid(walk.original, grid_options(options), walk.factors);
  walk.weight = walk.original.clone();
  walk.code = at::empty_like(walk.weight);
  const std::int64_t step =
      walk.row.defined() ? std::min(options.rows_per_step, walk.rows()) : walk.rows();
  for (std::int64_t begin = 0; begin < walk.rows(); begin += step) {
    walk.round_rows(begin, std::min(step, walk.rows() - begin));
  }
  for (std::int64_t sweep = 0; sweep < options.refine_sweeps; ++sweep) walk.refine_scales();

  LayerResult out{
      .loss = two_sided_loss(decode(walk.code, walk.grid) - walk.original, walk.column, walk.row)};
  at::Tensor code = walk.code;
  Grid grid = walk.grid;
  if (by_rows.defined()) {
    const at::Tensor back = at::argsort(by_rows);
    code = permuted(code, back, 1);
    grid.scale = permuted(grid.scale, back, 1);
    grid.zero = permuted(grid.zero, back, 1);
  }
  code = permuted(code, at::argsort(by_columns), 2);
  grid.scale = grid.scale.reshape({weight.size(0), -1});
  grid.zero = grid.zero.reshape({weight.size(0), -1});
  out.layer.code = code.reshape_as(weight).to(options.bits <= 8 ? at::kByte : at::kInt);
  out.layer.grid = grid;
  out.weight = decode(out.layer.code, grid);
  return out;
}

at::Tensor rows_of_values(const models::Network& network, const models::AttentionParts& parts) {
  at::Tensor out = network.parameters().at(parts.out + ".weight");  // [d, heads * head_dim]
  if (parts.rotation) out = parts.rotation->joined_back(out);
  const at::Tensor by_head =
      out.reshape({out.size(0), parts.heads, parts.head_dim}).transpose(0, 1);
  const at::Tensor moments = at::matmul(by_head.transpose(1, 2), by_head);
  return moments.reshape({parts.kv_heads, -1, parts.head_dim, parts.head_dim}).mean(1);
}

LayersQuantizer two_sided_quantizer(const models::Network& network, const TwoSidedOptions& options,
                                    bool value_rows) {
  return [&network, options, value_rows](const std::vector<LayerMoments>& layers) {
    std::map<std::string, LayerResult> results;
    for (const LayerMoments& each : layers) {
      const std::string& name = each.layer.name;
      const auto parts = network.attention_parts(each.layer.unit);
      LayerMoments own = each;
      if (value_rows && parts && parts->v == name) own.row = rows_of_values(network, *parts);
      results[name] = in_layer(name, [&] {
        return quantize_two_sided(network.parameters().at(name + ".weight"), own, options);
      });
    }
    return results;
  };
}

}  // namespace assay::quant
