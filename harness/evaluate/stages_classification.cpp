#include <ATen/ATen.h>
#include <fmt/format.h>

#include "datasets/preprocess.h"
#include "harness/evaluate/classification.h"
#include "harness/evaluate/stage_recipe.h"
#include "harness/evaluate/stages.h"

namespace assay::evaluate {
namespace {

// Raised when the same network and images give other records.
constexpr int kRevision = 3;
const std::vector<std::string> kNames = {"correct", "top5", "margin", "nll"};

Json evaluate(StageContext& context, const NetworkLoader& load) {
  const LoadedNetwork loaded = load(context);
  const std::string preprocess = text(context, "preprocess");
  const auto images = images_of(context, preprocess);
  const std::int64_t limit = integer(context, "limit");
  const std::int64_t samples = datasets::limited(images->size(), limit);
  const ClassificationRecords records = classify(
      *loaded.network, *loaded.tap, *images,
      shard_plan(context, samples, integer(context, "chunk")), progress_of(context, "images"));
  models::save_tensors(context.output() / kSamplesFile, {{"correct", records.correct},
                                                         {"top5", records.top5},
                                                         {"margin", records.margin},
                                                         {"nll", records.nll}});
  const models::NetworkInfo& info = loaded.network->info();
  Json fingerprint = {{"metric", "classification"},
                      {"revision", kRevision},
                      {"data", data_of(context)},
                      {"preprocess", preprocess},
                      {"resize_revision", datasets::kResizeRevision},
                      {"mean", info.mean},
                      {"std", info.std},
                      {"limit", limit},
                      {"classes", info.outputs},
                      {"samples", samples}};
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
            .reads = {"limit", "chunk", "preprocess"},
            .reads_model = true,
            .reads_data = true,
            .reads_network = true},
           [load](StageContext& context) { return evaluate(context, load); }},
          {{.name = "merge.classification", .revision = 2, .reads = {"shards"}, .exact = true}, merge}};
}

}  // namespace assay::evaluate
