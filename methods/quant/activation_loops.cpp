#include "methods/quant/activation_loops.h"

#include <ATen/Parallel.h>

#include <cmath>

namespace assay::quant {
namespace {

#define ASSAY_INLINE_LOOP inline __attribute__((always_inline))

template <bool kZeroFirst, typename T>
ASSAY_INLINE_LOOP void snap_row(const SnappedRows<T>& rows, std::int64_t row) {
  const T scale = rows.scale[row / rows.rows_of_pair], zero = rows.zero[row / rows.rows_of_pair];
  const T highest = rows.highest;
  const T* __restrict values = rows.values + row * rows.columns;
  T* __restrict out = rows.out + row * rows.columns;
  for (std::int64_t j = 0; j < rows.columns; ++j) {
    const T scaled = values[j] / scale;
    T code = kZeroFirst ? std::nearbyint(scaled + zero) : std::nearbyint(scaled) + zero;
    code = code < 0 ? T(0) : code;  // NaN stays
    code = code > highest ? highest : code;
    out[j] = (code - zero) * scale;
  }
}

template <typename T>
ASSAY_INLINE_LOOP void snap_run(const SnappedRows<T>& rows, std::int64_t first, std::int64_t last) {
  for (std::int64_t row = first; row < last; ++row) {
    rows.zero_first ? snap_row<true>(rows, row) : snap_row<false>(rows, row);
  }
}

#if defined(__x86_64__)
template <typename T>
__attribute__((target("avx2"))) void snap_run_avx2(const SnappedRows<T>& rows, std::int64_t first,
                                                   std::int64_t last) {
  snap_run(rows, first, last);
}
#endif

template <typename T>
void snap_all(const SnappedRows<T>& rows) {
  const std::int64_t grain = 1 + 32768 / (rows.columns + 1);  // ATen's, of values
  at::parallel_for(0, rows.rows, grain, [&](std::int64_t first, std::int64_t last) {
#if defined(__x86_64__)
    if (__builtin_cpu_supports("avx2")) {
      snap_run_avx2(rows, first, last);
      return;
    }
#endif
    snap_run(rows, first, last);
  });
}

}  // namespace

void snap_rows(const SnappedRows<float>& rows) { snap_all(rows); }
void snap_rows(const SnappedRows<double>& rows) { snap_all(rows); }

}  // namespace assay::quant
