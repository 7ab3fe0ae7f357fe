#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>

#include "harness/contract/bits.h"

// Affine weight grids: what a quantized weight is made of.
//   code  = clamp(round(w / scale) + zero, 0, 2^bits - 1), rounding half to even
//   value = scale (code - zero)
// One (scale, zero) pair for the whole tensor, per row, or per row and group of input columns. With
// zeta (Z-Fold), scale is (scale zeta_j) in column j.
//
// With a table of levels (NF4) instead
//   code  = the nearest level of w / scale, the lower of two that are equally near
//   value = scale levels[code]
// One scale per run of `group` weights of the matrix in row-major order, across rows.

namespace assay::quant {

struct Grid {
  int bits = 8;             // 1 .. 16
  std::int64_t group = -1;  // input columns per pair; -1: whole rows
  at::Tensor scale;         // floating [rows or 1, groups], > 0; a batch of heads may lead
  at::Tensor zero;          // same shape and dtype, whole numbers
  bool symmetric = false;   // every zero is 2^(bits - 1), and need not be stored
  at::Tensor perm;  // int64 [columns] or undefined: groups are runs of the columns in this order
  at::Tensor zeta;  // floating [columns], not 0, or undefined: a factor of every column's scales
  // floating [2^bits], ascending, or undefined. With levels, scale is [1, blocks], and there is
  // neither zero nor perm nor zeta.
  at::Tensor levels;

  std::int64_t qmax() const { return (std::int64_t{1} << bits) - 1; }
};

// Number of groups that `columns` make; the last may be shorter.
std::int64_t group_count(std::int64_t columns, std::int64_t group);

// Runs of `group` (at least 1) that the weights of a matrix make; the last may be shorter.
std::int64_t block_count(std::int64_t weights, std::int64_t group);

// int64 [columns]: the group that each column belongs to. `perm`: undefined or int64 [columns].
at::Tensor group_of_columns(std::int64_t columns, std::int64_t group, const at::Tensor& perm);

// All of these take weights [.., rows, columns] of the grid's dtype, [rows, columns] with levels.
// Codes are whole numbers in that dtype.
at::Tensor encode(const at::Tensor& weight, const Grid& grid);
at::Tensor step_of_columns(const Grid& grid,
                           std::int64_t columns);  // [.., rows or 1, columns or 1]; not with levels
at::Tensor zero_of_columns(const Grid& grid, std::int64_t columns);  // the same of zero points
at::Tensor decode(const at::Tensor& code, const Grid& grid);
at::Tensor fake_quantize(const at::Tensor& weight, const Grid& grid);

// A layer's weight as [rows, columns]: convolutions [out, in / groups, kh, kw] are flattened.
at::Tensor as_matrix(const at::Tensor& weight);

}  // namespace assay::quant
