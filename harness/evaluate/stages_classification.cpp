#include <ATen/ATen.h>
#include <fmt/format.h>

#include "datasets/image_codec.h"
#include "datasets/image_subset.h"
#include "datasets/preprocess.h"
#include "datasets/stage_images.h"
#include "harness/core/error.h"
#include "harness/core/stage_files.h"
#include "harness/core/stage_result.h"
#include "harness/evaluate/classification.h"
#include "harness/evaluate/fit.h"
#include "harness/evaluate/stage_recipe.h"
#include "harness/evaluate/stages.h"

namespace assay::evaluate {
namespace {

// Raised when the same network and images give other records.
constexpr int kRevision = 4;
const std::vector<std::string> kNames = {"correct", "top5", "margin", "nll"};

Json protocol_of(const StageContext& context, const models::NetworkInfo& info, std::int64_t limit,
                 std::int64_t samples) {
  Json fingerprint = {{"metric", "classification"},
                      {"revision", kRevision},
                      {"data", data_of(context)},
                      {"resize_revision", datasets::kResizeRevision},
                      {"decode_revision", datasets::kDecodeRevision},
                      {"mean", info.mean},
                      {"std", info.std},
                      {"limit", limit},
                      {"classes", info.outputs},
                      {"samples", samples}};
  if (limit > 0) fingerprint["limit_rule"] = datasets::kLimitRule;
  return fingerprint;
}

Json evaluate(StageContext& context, const NetworkLoader& load) {
  const StageParameters parameters(context);
  const LoadedNetwork loaded = load(context);
  const models::NetworkInfo& info = loaded.network->info();
  const auto all = datasets::images_of(context);
  if (has_class_list(context)) require_every_class(info, all->classes());
  const std::int64_t limit = parameters.integer("limit");
  const auto images = datasets::spread_subset(all, limit);
  const ClassificationRecords records =
      classify(*loaded.network, *loaded.tap, *images,
               shard_plan(context, images->size(), parameters.integer("chunk")),
               progress_of(context, "images"));
  models::save_tensors(context.output() / kSamplesFile, {{"correct", records.correct},
                                                         {"top5", records.top5},
                                                         {"margin", records.margin},
                                                         {"nll", records.nll}});
  Json fingerprint = protocol_of(context, info, limit, images->size());
  add_numerics(context, *loaded.network, fingerprint);
  return {{"metrics", {{"samples", records.correct.numel()}}}, {"fingerprint", fingerprint}};
}

Json merge(StageContext& context) {
  const JoinedShards joined = join_shards(context, kNames);
  const auto at = [&](const char* name) { return joined.samples.at(name); };
  const ClassificationMetrics metrics =
      summarise(ClassificationRecords{at("correct"), at("top5"), at("margin"), at("nll")});
  models::save_tensors(context.output() / kSamplesFile, joined.samples);
  Json result = {{"metrics", {{"samples", metrics.samples}}}, {"fingerprint", joined.fingerprint}};
  add_metric(result, "top1", metrics.top1);
  // Among five classes every label is one of the best five.
  const auto classes = joined.fingerprint.value("classes", std::int64_t{0});
  if (classes > 0 && classes <= 5) {
    result["note"] = fmt::format("top5 is left out: of {} classes it is always 100 %", classes);
  } else {
    add_metric(result, "top5", metrics.top5);
  }
  add_metric(result, "cross_entropy", metrics.cross_entropy);
  return result;
}

}  // namespace

std::vector<StageImplementation> classification_stages(const NetworkLoader& load) {
  return {{{.name = "evaluate.classification",
            .revision = kRevision,
            .reads = {"limit", "chunk"},
            .reads_model = true,
            .reads_data = true,
            .reads_network = true},
           [load](StageContext& context) { return evaluate(context, load); }},
          {{.name = "merge.classification", .revision = 2, .reads = {"shards"}, .exact = true}, merge}};
}

}  // namespace assay::evaluate
