#include "methods/quant/column_loops.h"

#include <ATen/Parallel.h>

#include <cmath>

namespace assay::quant {
namespace {

#define ASSAY_INLINE_LOOP inline __attribute__((always_inline))

template <typename T>
ASSAY_INLINE_LOOP void round_row(const ColumnBlock<T>& block, std::int64_t row, std::int64_t begin,
                                 std::int64_t end) {
  const std::int64_t at = row * block.width, width = block.width;
  T* __restrict weight = block.weight + at;
  const T* factor = block.factor + row / block.rows * block.factor_stride;
  for (std::int64_t k = begin; k < end; ++k) {
    const std::int64_t pair = row * block.row_stride + k * block.column_stride;
    const T scale = block.scale[pair], zero = block.zero[pair], value = weight[k];
    T code = std::nearbyint(value / scale) + zero;
    code = code < 0 ? 0 : code;
    code = code > block.qmax ? block.qmax : code;
    const T rounded = scale * (code - zero);
    const T* __restrict row_of_factor = factor + k * width;
    const T error = (value - rounded) / row_of_factor[k];
    block.code[at + k] = code;
    block.rounded[at + k] = rounded;
    block.compensated[at + k] = value;
    block.error[at + k] = error;
    for (std::int64_t i = k + 1; i < width; ++i) weight[i] -= error * row_of_factor[i];
    if (block.drift == nullptr) continue;
    const T* __restrict drift = block.drift + row / block.rows * block.drift_stride + k * width;
    for (std::int64_t i = k + 1; i < width; ++i) weight[i] += value * drift[i];
  }
}

template <typename T>
ASSAY_INLINE_LOOP void round_rows(const ColumnBlock<T>& block, std::int64_t first,
                                  std::int64_t last, std::int64_t begin, std::int64_t end) {
  for (std::int64_t row = first; row < last; ++row) round_row(block, row, begin, end);
}

#if defined(__x86_64__)
// Eight (four) lanes at a time; without the fused operations that other levels lack.
__attribute__((target("avx2"))) void round_rows_avx2(const ColumnBlock<float>& block,
                                                     std::int64_t first, std::int64_t last,
                                                     std::int64_t begin, std::int64_t end) {
  round_rows(block, first, last, begin, end);
}
__attribute__((target("avx2"))) void round_rows_avx2(const ColumnBlock<double>& block,
                                                     std::int64_t first, std::int64_t last,
                                                     std::int64_t begin, std::int64_t end) {
  round_rows(block, first, last, begin, end);
}
#endif

template <typename T>
void round_in_parallel(const ColumnBlock<T>& block, std::int64_t begin, std::int64_t end) {
  // A thread is worth its start for some hundred thousand operations.
  const std::int64_t grain = 1 + 200000 / (block.width * (end - begin) + 1);
  at::parallel_for(0, block.matrices * block.rows, grain,
                   [&](std::int64_t first, std::int64_t last) {
#if defined(__x86_64__)
                     if (__builtin_cpu_supports("avx2")) {
                       round_rows_avx2(block, first, last, begin, end);
                       return;
                     }
#endif
                     round_rows(block, first, last, begin, end);
                   });
}

}  // namespace

void round_columns(const ColumnBlock<float>& block, std::int64_t begin, std::int64_t end) {
  round_in_parallel(block, begin, end);
}
void round_columns(const ColumnBlock<double>& block, std::int64_t begin, std::int64_t end) {
  round_in_parallel(block, begin, end);
}

}  // namespace assay::quant
