#pragma once

#include <cstdint>

// Rows of values on affine grids, in one pass over plain memory of the CPU. The loops divide,
// round, add and multiply as ATen's own operations do, without fused ones, so the bits are theirs.
// Rows are shared among ATen's threads.

namespace assay::quant {

// Rows of values, so many of which share a pair of scale and zero point one after the other.
template <typename T>
struct SnappedRows {
  std::int64_t rows, columns;
  std::int64_t rows_of_pair;  // row r has pair r / rows_of_pair
  const T* values;            // [rows, columns]
  const T *scale, *zero;      // [rows / rows_of_pair]
  T highest;                  // code
  bool zero_first;            // round(x / scale + zero), else round(x / scale) + zero
  T* out;                     // [rows, columns]
};

// scale (clamp(code, 0, highest) - zero) of each value.
void snap_rows(const SnappedRows<float>& rows);
void snap_rows(const SnappedRows<double>& rows);

// Rows of values, each of which has so many pairs of scale and zero point.
template <typename T>
struct RowErrors {
  std::int64_t rows, columns, pairs;
  const T* values;        // [rows, columns]
  const T *scale, *zero;  // [rows, pairs]
  T highest;              // code
  T* out;                 // [rows, pairs, columns]
};

// scale (clamp(round(x / scale) + zero, 0, highest) - zero) - x of each value under each pair.
void rounding_errors(const RowErrors<float>& rows);
void rounding_errors(const RowErrors<double>& rows);

}  // namespace assay::quant
