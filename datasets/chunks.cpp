#include "datasets/chunks.h"

#include <ATen/ATen.h>
#include <fmt/format.h>

#include <algorithm>

#include "harness/base/error.h"

namespace assay::datasets {

Range chunks_of(const ChunkPlan& plan) {
  if (plan.samples < 0 || plan.chunk < 1 || plan.shards < 1 || plan.shard < 0 ||
      plan.shard >= plan.shards) {
    throw Error(ErrorKind::kConfig,
                fmt::format("shard {} of {} with chunks of {} over {} samples cannot be",
                            plan.shard, plan.shards, plan.chunk, plan.samples));
  }
  const std::int64_t chunks = plan.samples / plan.chunk + (plan.samples % plan.chunk != 0 ? 1 : 0);
  return {plan.shard * chunks / plan.shards, (plan.shard + 1) * chunks / plan.shards};
}

Range samples_of(const ChunkPlan& plan, std::int64_t chunk) {
  return {chunk * plan.chunk, std::min((chunk + 1) * plan.chunk, plan.samples)};
}

Range samples_of(const ChunkPlan& plan) {
  const Range chunks = chunks_of(plan);
  const auto at = [&](std::int64_t chunk) { return std::min(chunk * plan.chunk, plan.samples); };
  return {at(chunks.begin), at(chunks.end)};
}

at::Tensor padded(const at::Tensor& rows, std::int64_t count) {
  const std::int64_t missing = count - rows.size(0);
  if (missing <= 0) {
    return rows;
  }
  std::vector<std::int64_t> shape = rows.sizes().vec();
  shape[0] = missing;
  return at::cat({rows, at::zeros(shape, rows.options())});
}

std::int64_t limited(std::int64_t available, std::int64_t limit) {
  return limit > 0 ? std::min(available, limit) : available;
}

}  // namespace assay::datasets
