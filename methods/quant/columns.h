#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <optional>
#include <string>

#include "harness/base/enum_names.h"
#include "methods/quant/grid.h"
#include "methods/quant/grid_search.h"

// The column loop of GPTQ: columns are rounded from left to right, and the error of each is moved
// into the columns not yet rounded. Source: Frantar 2023, algorithm 1.

namespace assay::quant {

// Which weights the grid of a dynamic group is taken from.
enum class GroupGridSource {
  kBlockStart,  // as they stood at the start of the block of columns (the release)
  kCurrent,     // with every update so far
};

constexpr auto enum_names(GroupGridSource) {
  return std::to_array<EnumName<GroupGridSource>>(
      {{GroupGridSource::kBlockStart, "block_start"}, {GroupGridSource::kCurrent, "current"}});
}

struct ColumnOptions {
  std::int64_t block = 128;  // columns per lazy update; no effect on the result but by kBlockStart
  std::optional<GridOptions> dynamic;  // grids opened group by group during the loop
  GroupGridSource source = GroupGridSource::kBlockStart;
  at::Tensor hessian;  // for a dynamic kHessian search: [.., d, d] in the order of the columns
  at::Tensor drift;    // [.., d, d] strictly upper, or undefined: rounding column j also adds its
                       // compensated value times drift[j, k] to column k
};

struct ColumnResult {
  at::Tensor code;         // whole numbers in the working dtype, [.., rows, d]
  at::Tensor rounded;      // scale (code - zero)
  at::Tensor compensated;  // the float value of each entry at the moment it was rounded
  at::Tensor error;        // (compensated - rounded) / U_jj
  Grid grid;               // as given, or as opened
  double loss = 0;  // sum (compensated - rounded)^2 / (2 U_jj^2) = dW H dW^T / 2 over all rows
};

// weight [.., rows, d] and factor [.., d, d] (inverse_factor) of one dtype; a batch of heads may
// lead. `grid`: for the columns as given, zeta included (unused with `dynamic`).
ColumnResult gptq_columns(const at::Tensor& weight, const at::Tensor& factor, const Grid& grid,
                          const ColumnOptions& options = {});

}  // namespace assay::quant
