#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <functional>

// Passes over calibration data in chunks of a fixed size: a row's bits may depend on the batch
// around it, so the size is part of what a stage is, and the last chunk is padded by repetition.

namespace assay::quant {

inline constexpr std::int64_t kSequenceChunk = 8;
inline constexpr std::int64_t kImageChunk = 32;

struct Chunk {
  at::Tensor rows;         // [size, ...]
  std::int64_t begin = 0;  // index of the first row
  std::int64_t valid = 0;  // rows that count; the rest is padding
  std::int64_t size = 0;

  // What of an activation of this chunk counts. Its first dimension may be a multiple of the chunk
  // (windows); a tensor that does not grow with the chunk counts whole.
  at::Tensor counted(const at::Tensor& activation) const;
};

std::int64_t chunk_count(std::int64_t rows, std::int64_t size);
Chunk chunk_of(const at::Tensor& rows, std::int64_t index, std::int64_t size);

}  // namespace assay::quant
