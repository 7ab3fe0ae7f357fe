#include "harness/evaluate/stage_recipe.h"

#include <ATen/ATen.h>
#include <fmt/format.h>

#include <algorithm>
#include <map>

#include "harness/core/error.h"
#include "harness/core/stage_files.h"
#include "harness/core/stage_result.h"
#include "harness/evaluate/network_traits.h"

namespace assay::evaluate {
namespace {

constexpr std::int64_t kDefaultContext = 2048;
constexpr std::int64_t kMaxBatch = 1 << 16;

}  // namespace

bool has_class_list(const StageContext& context) {
  const Json model = context.recipe().value("model", Json::object());
  return model.is_object() && model.contains("files") && data_of(context).contains("classes");
}

std::vector<std::int64_t> batch_sizes(const StageContext& context) {
  const Json& list = StageParameters(context).json("batch");
  const auto refuse = [&] {
    throw Error(
        ErrorKind::kConfig,
        fmt::format("batch: {}; legal: one or more integers from 1 to {}", list.dump(), kMaxBatch),
        {{"field", "batch"}, {"value", list.dump()}});
  };
  std::vector<std::int64_t> batches;
  for (const Json& batch : list.is_array() ? list : Json::array({list})) {
    if (!batch.is_number_integer()) refuse();
    batches.push_back(batch.get<std::int64_t>());
    if (batches.back() < 1 || batches.back() > kMaxBatch) refuse();
  }
  if (batches.empty()) refuse();
  return batches;
}

WindowProtocol window_protocol(const StageContext& context, std::int64_t most) {
  const StageParameters parameters(context);
  WindowProtocol protocol{.context = parameters.integer("context"),
                          .stride = parameters.integer("stride"),
                          .bos = parameters.text("bos"),
                          .text = parameters.text("windows")};
  if (protocol.context == 0) {
    protocol.context = most > 0 ? std::min(kDefaultContext, most) : kDefaultContext;
  }
  return protocol;
}

datasets::ChunkPlan shard_plan(const StageContext& context, std::int64_t samples,
                               std::int64_t chunk) {
  datasets::ChunkPlan plan{.samples = samples, .chunk = chunk};
  const auto shard = context.recipe().find("shard");
  if (shard != context.recipe().end()) {
    if (!shard->is_array() || shard->size() != 2 || !(*shard)[0].is_number_integer() ||
        !(*shard)[1].is_number_integer()) {
      throw Error(ErrorKind::kConfig,
                  fmt::format("the recipe's shard is {}, not [index, count]", shard->dump()));
    }
    plan.shard = (*shard)[0].get<std::int64_t>();
    plan.shards = (*shard)[1].get<std::int64_t>();
  }
  return plan;
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
  if (count != StageParameters(context).integer("shards")) {
    throw Error(ErrorKind::kConfig, fmt::format("{} shards to merge, the recipe says {}", count,
                                                StageParameters(context).integer("shards")));
  }
  for (const auto& [name, tensors] : parts) {
    joined.samples[name] = at::cat(tensors);
  }
  return joined;
}

void add_numerics(const StageContext& context, const models::Network& network, Json& fingerprint) {
  fingerprint["dtype"] = models::dtype_name(traits_of(network).dtype);
  const Json numerics = context.recipe().value("numerics", Json::object());
  fingerprint["device"] =
      numerics.is_object() ? numerics.value("device", Json("cpu")) : Json("cpu");
}

}  // namespace assay::evaluate
