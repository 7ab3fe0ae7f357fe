#include "harness/evaluate/classification.h"

#include <ATen/ATen.h>
#include <fmt/format.h>

#include "datasets/image_codec.h"
#include "datasets/image_subset.h"
#include "datasets/preprocess.h"
#include "datasets/stage_images.h"
#include "harness/base/error.h"
#include "harness/contract/stage_recipe.h"
#include "harness/contract/stage_result.h"
#include "harness/evaluate/evaluation_stage.h"
#include "harness/evaluate/fit.h"
#include "harness/evaluate/metric.h"

namespace assay::evaluate {
namespace {

// Raised when the same network and images give other records.
constexpr int kRevision = 4;
const std::vector<std::string> kNames = {"correct", "top5", "margin", "nll"};

// Of evaluate.classification.
struct Options {
  std::int64_t limit = 0;
  std::int64_t chunk = 64;

  void visit(OptionVisitor& option) {
    option(limit, {.name = "limit",
                   .unit = "images",
                   .minimum = 0,
                   .doc = "Number of images, evenly spread over the split; 0: all."});
    option(chunk,
           {.name = "chunk", .unit = "images", .minimum = 1, .doc = "Images computed together."});
  }
};

// Of the images, before a stage sees them.
struct ImageOptions {
  std::string preprocess = "auto";

  void visit(OptionVisitor& option) {
    option(preprocess, {.name = "preprocess",
                        .choices = datasets::preprocessing_names(),
                        .doc = "Resize and crop of an image folder, for its calibration images "
                               "too; auto: the data entry's."});
  }
};

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

Json evaluate(StageContext& context, const NetworkLoaders& load) {
  const auto options = options_from<Options>(context);
  const LoadedNetwork loaded = load.trial(context);
  const models::NetworkInfo& info = loaded.network->info();
  const auto all = datasets::images_of(context);
  if (has_class_list(context)) require_every_class(info, all->classes());
  const auto images = datasets::spread_subset(all, options.limit);
  const ClassificationRecords records =
      classify(*loaded.network, *loaded.tap, *images,
               shard_plan(context, images->size(), options.chunk), progress_of(context, "images"));
  models::save_tensors(context.output() / kSamplesFile, {{"correct", records.correct},
                                                         {"top5", records.top5},
                                                         {"margin", records.margin},
                                                         {"nll", records.nll}});
  Json fingerprint = protocol_of(context, info, options.limit, images->size());
  add_numerics(context, *loaded.network, fingerprint);
  return {{"metrics", {{"samples", records.correct.numel()}}}, {"fingerprint", fingerprint}};
}

Json merge(StageContext& context, const NetworkLoaders&) {
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

void check(const PlannedMeasurement& planned, Findings& findings) {
  check_images(planned.network, planned.data, findings);
  if (planned.network == nullptr || planned.data == nullptr || planned.data->classes == 0) return;
  if (planned.data->classes > planned.network->outputs) return;  // refused already
  findings.attempt("data", [&] {
    if (has_class_list(planned.context)) {
      require_every_class(*planned.network, planned.data->classes);
    }
  });
}

MetricDeclaration accuracy(const char* name, std::vector<MetricValue> values) {
  return {.name = name,
          .title = "Accuracy of a classifier on a labelled split",
          .task = "classification",
          .parameters = schemas_of<Options, ImageOptions, ShardOptions>(),
          .stage = "evaluate.classification",
          .merge = "merge.classification",
          .shards_parameter = "shards",
          .values = std::move(values)};
}

}  // namespace

Metric classification_metric() {
  const MetricValue top1 = {.name = "top1",
                            .unit = "%",
                            .primary = true,
                            .samples = {"correct", SampleStatistic::kShare}};
  const MetricValue top5 = {
      .name = "top5", .unit = "%", .samples = {"top5", SampleStatistic::kShare}};
  const MetricValue cross_entropy = {
      .name = "cross_entropy", .unit = "nats", .higher_is_better = false, .samples = {"nll"}};
  MetricValue top5_first = top5;
  top5_first.primary = true;
  return {.declarations = {accuracy("top1", {top1, top5, cross_entropy}),
                           accuracy("top5", {top5_first})},
          .stages = {{{.name = "evaluate.classification",
                       .revision = kRevision,
                       .reads = names_of<Options>(),
                       .reads_model = true,
                       .reads_data = true,
                       .reads_network = true},
                      evaluate,
                      check},
                     {{.name = "merge.classification",
                       .revision = 2,
                       .reads = names_of<ShardOptions>(),
                       .exact = true},
                      merge}}};
}

}  // namespace assay::evaluate
