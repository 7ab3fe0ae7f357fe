#pragma once

#include <cstdint>

// The inner loop of the column walk (columns.h) on plain memory of the CPU. It multiplies and
// subtracts without fused operations, so that every level of processor, and ATen's own operations,
// give the same bits.

namespace assay::quant {

// A block of columns of several matrices: matrix m holds rows m * rows .. (m + 1) * rows - 1.
template <typename T>
struct ColumnBlock {
  std::int64_t matrices, rows, width;
  T* weight;                   // [matrices * rows, width]: updated in place
  const T* factor;             // [matrices or 1, width, width] of U, the diagonal block
  std::int64_t factor_stride;  // from one matrix's factor to the next; 0: all share one
  const T* drift;              // as factor, or null: the diagonal block of ColumnOptions::drift
  std::int64_t drift_stride;
  // Of the grid: the pair of row r and column k is at [r * row_stride + k * column_stride].
  const T* scale;
  const T* zero;
  std::int64_t row_stride, column_stride;
  T qmax;
  T *code, *rounded, *compensated, *error;  // [matrices * rows, width]
};

// Rounds columns begin .. end - 1 one after the other and moves the error of each into the columns
// after it, up to the end of the block. Rows are shared among ATen's threads.
void round_columns(const ColumnBlock<float>& block, std::int64_t begin, std::int64_t end);
void round_columns(const ColumnBlock<double>& block, std::int64_t begin, std::int64_t end);

}  // namespace assay::quant
