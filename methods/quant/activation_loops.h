#pragma once

#include <cstdint>

// Fake quantization of activations on plain memory of the CPU, in one pass. It divides, rounds,
// adds and multiplies as ATen's own operations do, without fused ones, so the bits are theirs.

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

// scale (clamp(code, 0, highest) - zero) of each value. Rows are shared among ATen's threads.
void snap_rows(const SnappedRows<float>& rows);
void snap_rows(const SnappedRows<double>& rows);

}  // namespace assay::quant
