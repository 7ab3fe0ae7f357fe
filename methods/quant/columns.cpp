#include "methods/quant/columns.h"

#include <ATen/ATen.h>
#include <fmt/format.h>

#include <algorithm>
#include <vector>

#include "harness/base/error.h"
#include "methods/quant/column_loops.h"

namespace assay::quant {
namespace {

// State of one run of the loop; `weight` holds the updates of all finished blocks.
struct Loop {
  at::Tensor weight;
  const at::Tensor& factor;
  const ColumnOptions& options;
  std::int64_t columns;
  double qmax = 0;
  std::vector<at::Tensor> scales, zeros;   // of the groups opened so far, [.., rows, 1]
  at::Tensor scale_columns, zero_columns;  // fixed grid: [.., rows or 1, columns or 1]
  ColumnResult out;

  at::Tensor column(const at::Tensor& pairs, std::int64_t j) const {
    return pairs.select(-1, pairs.size(-1) == 1 ? 0 : j);
  }

  // The weights of columns j .. j + width - 1 that the group's grid sees. `block` holds columns
  // begin .. end - 1 with every update so far.
  at::Tensor group_weights(const at::Tensor& block, std::int64_t begin, std::int64_t j,
                           std::int64_t width) const {
    if (options.source == GroupGridSource::kBlockStart) return weight.narrow(-1, j, width);
    const std::int64_t end = begin + block.size(-1);
    const std::int64_t inside = std::min(width, end - j);
    const at::Tensor head = block.narrow(-1, j - begin, inside);
    if (inside == width) return head;
    at::Tensor tail = weight.narrow(-1, end, width - inside);
    if (j > begin) {
      tail = tail - at::matmul(out.error.narrow(-1, begin, j - begin),
                               factor.narrow(-2, begin, j - begin).narrow(-1, end, width - inside));
    }
    return at::cat({head, tail}, -1);
  }

  void open_group(const at::Tensor& block, std::int64_t begin, std::int64_t j) {
    const std::int64_t width = std::min(options.dynamic->group, columns - j);
    GridOptions one = *options.dynamic;
    one.granularity = Granularity::kChannel;
    const at::Tensor hessian = options.hessian.defined()
                                   ? options.hessian.narrow(-2, j, width).narrow(-1, j, width)
                                   : options.hessian;
    const Grid grid = find_grid(group_weights(block, begin, j, width), one, hessian);
    scales.push_back(grid.scale);
    zeros.push_back(grid.zero);
  }

  void round_column(at::Tensor& block, std::int64_t begin, std::int64_t j) {
    const std::int64_t k = j - begin;
    const at::Tensor w = block.select(-1, k);  // [.., rows]
    const at::Tensor scale =
        options.dynamic ? scales.back().select(-1, 0) : column(scale_columns, j);
    const at::Tensor zero = options.dynamic ? zeros.back().select(-1, 0) : column(zero_columns, j);
    const at::Tensor code = at::clamp(at::round(w / scale) + zero, 0, qmax);
    const at::Tensor value = scale * (code - zero);
    const at::Tensor row = factor.select(-2, j);  // [.., d]
    const at::Tensor error = (w - value) / row.select(-1, j).unsqueeze(-1);
    out.code.select(-1, j).copy_(code);
    out.rounded.select(-1, j).copy_(value);
    out.compensated.select(-1, j).copy_(w);
    out.error.select(-1, j).copy_(error);
    const std::int64_t rest = block.size(-1) - k;
    block.narrow(-1, k, rest).sub_(error.unsqueeze(-1) * row.narrow(-1, j, rest).unsqueeze(-2));
    if (!options.drift.defined()) return;
    const at::Tensor drift = options.drift.select(-2, j);
    const at::Tensor value_of_column = out.compensated.select(-1, j);
    block.narrow(-1, k, rest)
        .add_(value_of_column.unsqueeze(-1) * drift.narrow(-1, j, rest).unsqueeze(-2));
  }

  // Columns begin .. end - 1 of `block`, which starts at column `at`, under one set of grids.
  template <typename T>
  void round_fused(at::Tensor& block, std::int64_t at, std::int64_t begin, std::int64_t end) {
    const std::int64_t width = block.size(-1), rows = block.size(-2);
    const auto columns_of = [&](const at::Tensor& pairs) {  // [.., rows, width or 1]
      at::Tensor own = options.dynamic || pairs.size(-1) == 1 ? pairs : pairs.narrow(-1, at, width);
      std::vector<std::int64_t> shape = block.sizes().vec();
      shape.back() = own.size(-1);
      return own.expand(shape).contiguous();
    };
    const at::Tensor scale = columns_of(options.dynamic ? scales.back() : scale_columns);
    const at::Tensor zero = columns_of(options.dynamic ? zeros.back() : zero_columns);
    const auto own_part = [&](const at::Tensor& matrices) {
      return matrices.defined() ? matrices.narrow(-2, at, width).narrow(-1, at, width).contiguous()
                                : matrices;
    };
    const at::Tensor own_factor = own_part(factor), own_drift = own_part(options.drift);
    const auto stride_of = [&](const at::Tensor& matrices) {
      return matrices.defined() && matrices.dim() > 2 && matrices.size(0) > 1 ? width * width : 0;
    };
    const std::int64_t pairs = scale.size(-1);
    at::Tensor code = at::empty_like(block), rounded = at::empty_like(block),
               compensated = at::empty_like(block), error = at::empty_like(block);
    round_columns(
        ColumnBlock<T>{.matrices = block.numel() / std::max<std::int64_t>(rows * width, 1),
                       .rows = rows,
                       .width = width,
                       .weight = block.mutable_data_ptr<T>(),
                       .factor = own_factor.const_data_ptr<T>(),
                       .factor_stride = stride_of(own_factor),
                       .drift = own_drift.defined() ? own_drift.const_data_ptr<T>() : nullptr,
                       .drift_stride = stride_of(own_drift),
                       .scale = scale.const_data_ptr<T>(),
                       .zero = zero.const_data_ptr<T>(),
                       .row_stride = pairs,
                       .column_stride = pairs == 1 ? 0 : 1,
                       .qmax = static_cast<T>(qmax),
                       .code = code.mutable_data_ptr<T>(),
                       .rounded = rounded.mutable_data_ptr<T>(),
                       .compensated = compensated.mutable_data_ptr<T>(),
                       .error = error.mutable_data_ptr<T>()},
        begin - at, end - at);
    const auto put = [&](at::Tensor& all, const at::Tensor& made) {
      all.narrow(-1, begin, end - begin).copy_(made.narrow(-1, begin - at, end - begin));
    };
    put(out.code, code), put(out.rounded, rounded), put(out.compensated, compensated);
    put(out.error, error);
  }

  void round_run(at::Tensor& block, std::int64_t at, std::int64_t begin, std::int64_t end) {
    const bool fused = block.is_cpu() && block.dim() <= 3 && factor.dim() <= block.dim();
    if (fused && block.scalar_type() == at::kFloat) {
      round_fused<float>(block, at, begin, end);
    } else if (fused && block.scalar_type() == at::kDouble) {
      round_fused<double>(block, at, begin, end);
    } else {
      for (std::int64_t j = begin; j < end; ++j) round_column(block, at, j);
    }
  }

  void run_block(std::int64_t begin, std::int64_t end) {
    at::Tensor block = weight.narrow(-1, begin, end - begin).clone(at::MemoryFormat::Contiguous);
    for (std::int64_t j = begin; j < end;) {
      std::int64_t next = end;
      if (options.dynamic) {
        const std::int64_t group = options.dynamic->group;
        if (j % group == 0) open_group(block, begin, j);
        next = std::min(end, (j / group + 1) * group);
      }
      round_run(block, begin, j, next);
      j = next;
    }
    if (end == columns) return;
    weight.narrow(-1, end, columns - end)
        .sub_(at::matmul(out.error.narrow(-1, begin, end - begin),
                         factor.narrow(-2, begin, end - begin).narrow(-1, end, columns - end)));
    if (!options.drift.defined()) return;
    weight.narrow(-1, end, columns - end)
        .add_(at::matmul(
            out.compensated.narrow(-1, begin, end - begin),
            options.drift.narrow(-2, begin, end - begin).narrow(-1, end, columns - end)));
  }
};

}  // namespace

ColumnResult gptq_columns(const at::Tensor& weight, const at::Tensor& factor, const Grid& grid,
                          const ColumnOptions& options) {
  Loop loop{
      .weight = weight.clone(), .factor = factor, .options = options, .columns = weight.size(-1)};
  loop.out.code = at::empty_like(loop.weight);
  loop.out.rounded = at::empty_like(loop.weight);
  loop.out.compensated = at::empty_like(loop.weight);
  loop.out.error = at::empty_like(loop.weight);
  if (options.dynamic) {
    loop.out.grid = {.bits = options.dynamic->bits,
                     .group = options.dynamic->group,
                     .symmetric = options.dynamic->symmetric};
  } else {
    loop.out.grid = grid;
    const at::Tensor groups = group_of_columns(loop.columns, grid.group, grid.perm);
    const bool whole = grid.scale.size(-1) == 1;
    loop.scale_columns =
        whole ? grid.scale : grid.scale.index_select(-1, groups.to(weight.device()));
    loop.zero_columns = whole ? grid.zero : grid.zero.index_select(-1, groups.to(weight.device()));
    if (grid.zeta.defined()) {
      loop.scale_columns = loop.scale_columns * grid.zeta;
      loop.zero_columns = loop.zero_columns.expand_as(loop.scale_columns);
    }
  }
  loop.qmax = static_cast<double>(loop.out.grid.qmax());
  for (std::int64_t begin = 0; begin < loop.columns; begin += options.block) {
    loop.run_block(begin, std::min(begin + options.block, loop.columns));
  }
  if (options.dynamic) {
    loop.out.grid.scale = at::cat(loop.scales, -1);
    loop.out.grid.zero = at::cat(loop.zeros, -1);
  }
  loop.out.loss = loop.out.error.square().sum(at::kDouble).item<double>() / 2;
  return loop.out;
}

}  // namespace assay::quant
