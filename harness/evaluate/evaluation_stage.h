#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "datasets/chunks.h"
#include "harness/contract/declared_options.h"
#include "harness/contract/stage_context.h"
#include "harness/evaluate/progress.h"
#include "harness/models/network.h"
#include "harness/models/tensor_file.h"

// What the stages of metrics have in common: shards, progress, per-sample values.

namespace assay::evaluate {

// Of metrics whose work is shared: how many stages share it (MetricDeclaration::shards_parameter).
struct ShardOptions {
  std::int64_t shards = 8;

  void visit(OptionVisitor& option);
};

// The chunks of the recipe's shard.
datasets::ChunkPlan shard_plan(const StageContext& context, std::int64_t samples,
                               std::int64_t chunk);

// Whether a network that came trained is shown images whose classes are listed by name.
bool has_class_list(const StageContext& context);

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
