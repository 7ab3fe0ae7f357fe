#include "methods/quant/chunk.h"

#include <ATen/ATen.h>

#include <algorithm>

namespace assay::quant {

at::Tensor Chunk::counted(const at::Tensor& activation) const {
  if (valid == size || activation.dim() == 0) return activation;
  const std::int64_t first = activation.size(0);
  if (first < size || first % size != 0) return activation;
  return activation.narrow(0, 0, first / size * valid);
}

std::int64_t chunk_count(std::int64_t rows, std::int64_t size) { return (rows + size - 1) / size; }

Chunk chunk_of(const at::Tensor& rows, std::int64_t index, std::int64_t size) {
  Chunk chunk;
  chunk.begin = index * size;
  chunk.size = size;
  chunk.valid = std::min(size, rows.size(0) - chunk.begin);
  chunk.rows = rows.narrow(0, chunk.begin, chunk.valid);
  if (chunk.valid < size) {
    std::vector<std::int64_t> shape = rows.sizes().vec();
    shape[0] = size - chunk.valid;
    chunk.rows = at::cat({chunk.rows, chunk.rows.narrow(0, chunk.valid - 1, 1).expand(shape)}, 0);
  }
  return chunk;
}

}  // namespace assay::quant
