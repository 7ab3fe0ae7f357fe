#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "datasets/chunks.h"
#include "harness/core/stage_context.h"
#include "harness/core/stage_parameters.h"
#include "harness/evaluate/classification.h"
#include "harness/evaluate/windows.h"
#include "harness/models/tensor_file.h"

// What the stage bodies of this folder take from a recipe. A recipe that lacks something is our
// planner's or a foreign provider's fault: Error(kConfig) naming the member.

namespace assay::evaluate {

// [index, count] of recipe()["shard"]; without it the only shard.
datasets::ChunkPlan shard_plan(const StageContext& context, std::int64_t samples,
                               std::int64_t chunk);

// Whether a network that came trained is shown images whose classes are listed by name.
bool has_class_list(const StageContext& context);

// The batch sizes that are timed, in their order: one at least.
std::vector<std::int64_t> batch_sizes(const StageContext& context);

// The windows that a recipe asks for, over a network that takes `most` tokens (0: any number).
WindowProtocol window_protocol(const StageContext& context, std::int64_t most);

// Reports progress, and throws Error(kLost) once the supervisor asked for an end.
Progress progress_of(StageContext& context, const char* unit);

// Per-sample values of a stage.
inline constexpr const char* kSamplesFile = "samples.safetensors";

// Shards in order: their per-sample tensors joined, and their common fingerprint. Throws
// Error(kData) if there is none or they disagree.
struct JoinedShards {
  models::TensorMap samples;
  Json fingerprint;
};
JoinedShards join_shards(const StageContext& context, const std::vector<std::string>& names);

// Device and dtype members that every fingerprint has.
void add_numerics(const StageContext& context, const models::Network& network, Json& fingerprint);

}  // namespace assay::evaluate
