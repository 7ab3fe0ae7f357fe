#pragma once

#include <ATen/Parallel.h>

#include <cmath>
#include <cstdint>

// Loops over rows of values that the compiler makes vectors of. A body is compiled twice, for
// processors with AVX2 and for others; the operations are the same, and so are the bits. Sources
// of such loops are compiled with -O3 and without fused operations (CMakeLists.txt).

#define ASSAY_ALWAYS_INLINE __attribute__((always_inline))
#define ASSAY_INLINE_LOOP inline ASSAY_ALWAYS_INLINE

namespace assay::quant {

#if defined(__x86_64__)
template <typename Body>
__attribute__((target("avx2"))) void call_on_avx2(std::int64_t first, std::int64_t last,
                                                  const Body& body) {
  body(first, last);
}
#endif

// body(first, last) over runs of rows that make up all of them, on ATen's threads; a run has at
// least `grain` rows. All of the body has to be inlined: ASSAY_ALWAYS_INLINE for the lambda,
// ASSAY_INLINE_LOOP for what it calls.
template <typename Body>
void for_row_runs(std::int64_t rows, std::int64_t grain, const Body& body) {
  at::parallel_for(0, rows, grain, [&](std::int64_t first, std::int64_t last) {
#if defined(__x86_64__)
    if (__builtin_cpu_supports("avx2")) return call_on_avx2(first, last, body);
#endif
    body(first, last);
  });
}

// The same for body(row).
template <typename Body>
void for_rows(std::int64_t rows, std::int64_t grain, const Body& body) {
  for_row_runs(rows, grain, [&](std::int64_t first, std::int64_t last) ASSAY_ALWAYS_INLINE {
    for (std::int64_t row = first; row < last; ++row) body(row);
  });
}

// The code of a value: round(value / scale) + zero, or round(value / scale + zero) with kZeroFirst,
// clamped to 0..highest. NaN stays NaN.
template <bool kZeroFirst = false, typename T>
ASSAY_INLINE_LOOP T code_of(T value, T scale, T zero, T highest) {
  const T scaled = value / scale;
  T code = kZeroFirst ? std::nearbyint(scaled + zero) : std::nearbyint(scaled) + zero;
  code = code < 0 ? T(0) : code;
  return code > highest ? highest : code;
}

}  // namespace assay::quant
