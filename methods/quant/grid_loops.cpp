#include "methods/quant/grid_loops.h"

#include "methods/quant/row_loops.h"

namespace assay::quant {
namespace {

template <bool kZeroFirst, typename T>
ASSAY_INLINE_LOOP void snap_row(const SnappedRows<T>& rows, std::int64_t row) {
  const T scale = rows.scale[row / rows.rows_of_pair], zero = rows.zero[row / rows.rows_of_pair];
  const T highest = rows.highest;
  const T* __restrict values = rows.values + row * rows.columns;
  T* __restrict out = rows.out + row * rows.columns;
  for (std::int64_t j = 0; j < rows.columns; ++j) {
    out[j] = (code_of<kZeroFirst>(values[j], scale, zero, highest) - zero) * scale;
  }
}

template <typename T>
void snap_all(const SnappedRows<T>& rows) {
  const std::int64_t grain = 1 + 32768 / (rows.columns + 1);  // ATen's, of values
  for_rows(rows.rows, grain, [&](std::int64_t row) ASSAY_ALWAYS_INLINE {
    rows.zero_first ? snap_row<true>(rows, row) : snap_row<false>(rows, row);
  });
}

template <typename T>
ASSAY_INLINE_LOOP void errors_of_pair(const RowErrors<T>& rows, std::int64_t pair) {
  const T scale = rows.scale[pair], zero = rows.zero[pair], highest = rows.highest;
  const T* __restrict values = rows.values + pair / rows.pairs * rows.columns;
  T* __restrict out = rows.out + pair * rows.columns;
  for (std::int64_t j = 0; j < rows.columns; ++j) {
    out[j] = scale * (code_of(values[j], scale, zero, highest) - zero) - values[j];
  }
}

template <typename T>
void all_errors(const RowErrors<T>& rows) {
  for_rows(rows.rows * rows.pairs, 1 + 20000 / (rows.columns + 1),
           [&](std::int64_t pair) ASSAY_ALWAYS_INLINE { errors_of_pair(rows, pair); });
}

}  // namespace

void snap_rows(const SnappedRows<float>& rows) { snap_all(rows); }
void snap_rows(const SnappedRows<double>& rows) { snap_all(rows); }

void rounding_errors(const RowErrors<float>& rows) { all_errors(rows); }
void rounding_errors(const RowErrors<double>& rows) { all_errors(rows); }

}  // namespace assay::quant
