#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>

// Fixed chunks: every stage computes on `chunk` rows at a time, with boundaries at its multiples in
// data order and the last chunk padded to full size, because a row's bits may depend on the rows
// computed with it. So results do not depend on who computes which chunk.

namespace assay::datasets {

struct ChunkPlan {
  std::int64_t samples = 0;
  std::int64_t chunk = 1;  // rows
  std::int64_t shard = 0;  // 0 .. shards - 1
  std::int64_t shards = 1;
};

struct Range {
  std::int64_t begin = 0;
  std::int64_t end = 0;

  std::int64_t size() const { return end - begin; }
};

// Chunks of the shard: [shard C / shards, (shard + 1) C / shards) of the C chunks there are. Throws
// Error(kConfig) for a plan that cannot be (chunk < 1, shard outside 0 .. shards - 1).
Range chunks_of(const ChunkPlan& plan);

// Samples of one chunk, fewer than `chunk` in the last.
Range samples_of(const ChunkPlan& plan, std::int64_t chunk);

// All samples of the shard.
Range samples_of(const ChunkPlan& plan);

// rows [n, ...] with zero rows appended up to `count`; the same tensor if there is nothing to add.
at::Tensor padded(const at::Tensor& rows, std::int64_t count);

// How many of `available` samples a limit leaves; limit 0 leaves all.
std::int64_t limited(std::int64_t available, std::int64_t limit);

}  // namespace assay::datasets
