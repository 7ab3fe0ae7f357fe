#include "harness/evaluate/evaluation_stage.h"

#include <ATen/ATen.h>
#include <fmt/format.h>

#include <map>

#include "harness/base/error.h"
#include "harness/contract/stage_recipe.h"
#include "harness/contract/stage_result.h"
#include "harness/evaluate/network_traits.h"

namespace assay::evaluate {
void ShardOptions::visit(OptionVisitor& option) {
  option(shards, {.name = "shards",
                  .minimum = 1,
                  .maximum = 4096,
                  .doc = "Stages that share the work; the result is the same for any number."});
}

bool has_class_list(const StageContext& context) {
  return model_of(context).config.is_null() && data_of(context).contains("classes");
}

datasets::ChunkPlan shard_plan(const StageContext& context, std::int64_t samples,
                               std::int64_t chunk) {
  const Shard shard = shard_of(context);
  return {.samples = samples, .chunk = chunk, .shard = shard.index, .shards = shard.count};
}

Progress progress_of(StageContext& context, const char* unit) {
  return [&context, unit](std::int64_t done, std::int64_t total) {
    context.progress(done, total, unit);
    if (context.stop_requested()) {
      throw Error(ErrorKind::kLost, fmt::format("stopped after {} of {} {}", done, total, unit));
    }
  };
}

JoinedShards join_shards(const StageContext& context, const std::vector<std::string>& names) {
  JoinedShards joined;
  std::map<std::string, std::vector<at::Tensor>> parts;
  std::int64_t count = 0;
  for (; context.has_input(fmt::format("shard.{}", count)); ++count) {
    const std::filesystem::path artifact = context.input(fmt::format("shard.{}", count));
    models::TensorMap tensors = models::load_tensors(artifact / kSamplesFile);
    for (const std::string& name : names) {
      const auto found = tensors.find(name);
      if (found == tensors.end()) {
        throw Error(ErrorKind::kData,
                    fmt::format("{}: the samples lack '{}'", artifact.string(), name));
      }
      parts[name].push_back(found->second);
    }
    Json fingerprint = fingerprint_of(artifact);
    if (count > 0 && fingerprint != joined.fingerprint) {
      throw Error(ErrorKind::kData,
                  fmt::format("shard {} was measured by another protocol than shard 0", count));
    }
    joined.fingerprint = std::move(fingerprint);
  }
  const std::int64_t shards = options_from<ShardOptions>(context).shards;
  if (count != shards) {
    throw Error(ErrorKind::kConfig,
                fmt::format("{} shards to merge, the recipe says {}", count, shards));
  }
  for (const auto& [name, tensors] : parts) {
    joined.samples[name] = at::cat(tensors);
  }
  return joined;
}

void add_numerics(const StageContext& context, const models::Network& network, Json& fingerprint) {
  fingerprint["dtype"] = models::dtype_name(traits_of(network).dtype);
  fingerprint["device"] = numerics_of(context).device;
}

}  // namespace assay::evaluate
