#include "methods/quant/column_loops.h"

#include "methods/quant/row_loops.h"

namespace assay::quant {
namespace {

template <typename T>
ASSAY_INLINE_LOOP void round_row(const ColumnBlock<T>& block, std::int64_t row, std::int64_t begin,
                                 std::int64_t end) {
  const std::int64_t at = row * block.width, width = block.width;
  T* __restrict weight = block.weight + at;
  const T* factor = block.factor + row / block.rows * block.factor_stride;
  for (std::int64_t k = begin; k < end; ++k) {
    const std::int64_t pair = row * block.row_stride + k * block.column_stride;
    const T scale = block.scale[pair], zero = block.zero[pair], value = weight[k];
    const T code = code_of(value, scale, zero, block.qmax);
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
void round_in_parallel(const ColumnBlock<T>& block, std::int64_t begin, std::int64_t end) {
  // A thread is worth its start for some hundred thousand operations.
  const std::int64_t grain = 1 + 200000 / (block.width * (end - begin) + 1);
  for_rows(block.matrices * block.rows, grain,
           [&](std::int64_t row) ASSAY_ALWAYS_INLINE { round_row(block, row, begin, end); });
}

}  // namespace

void round_columns(const ColumnBlock<float>& block, std::int64_t begin, std::int64_t end) {
  round_in_parallel(block, begin, end);
}
void round_columns(const ColumnBlock<double>& block, std::int64_t begin, std::int64_t end) {
  round_in_parallel(block, begin, end);
}

}  // namespace assay::quant
