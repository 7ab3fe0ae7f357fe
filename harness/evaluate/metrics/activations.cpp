#include <algorithm>

#include "harness/contract/stage_result.h"
#include "harness/evaluate/activation_sizes.h"
#include "harness/evaluate/evaluation_stage.h"
#include "harness/evaluate/metric.h"
#include "harness/evaluate/text_stage.h"

namespace assay::evaluate {
namespace {

constexpr int kRevision = 1;
const std::vector<std::string> kNames = {"input_max", "input_top10", "input_median", "layer_max",
                                         "window_top10", "window_median"};

Json evaluate(StageContext& context, const NetworkLoaders& load) {
  const auto options = options_from<TextOptions>(context);
  const LoadedNetwork loaded = load.trial(context);
  const auto [text, plan] = stage_text(context, options, loaded.network->info());
  const ActivationRecords records = measure_activations(*loaded.network, *loaded.tap, text, plan,
                                                        progress_of(context, "windows"));
  const std::int64_t last = records.input_max.size(1) - 1;
  models::save_tensors(context.output() / kSamplesFile,
                       {{"input_max", records.input_max},
                        {"input_top10", records.input_top10},
                        {"input_median", records.input_median},
                        {"layer_max", records.layer_max},
                        {"window_top10", records.input_top10.select(1, last)},
                        {"window_median", records.input_median.select(1, last)}});
  return {{"metrics", {{"windows", records.input_max.size(0)}}},
          {"fingerprint",
           text_fingerprint("activations", kRevision, context, *loaded.network, options, text)}};
}

// Curves over the units, for `assay show`.
void report_units(StageContext& context, const ActivationSizes& sizes) {
  const auto curve = [&](const char* name, const std::vector<double>& values) {
    for (std::size_t unit = 0; unit < values.size(); ++unit) {
      context.metric(name, values[unit], static_cast<std::int64_t>(unit));
    }
  };
  curve("activation_max_by_unit", sizes.input_max);
  curve("activation_top10_by_unit", sizes.input_top10);
  curve("activation_median_by_unit", sizes.input_median);
  curve("layer_input_max_by_unit", sizes.layer_max);
}

Json merge(StageContext& context, const NetworkLoaders&) {
  const JoinedShards joined = join_shards(context, kNames);
  const auto at = [&](const char* name) { return joined.samples.at(name); };
  const ActivationSizes sizes =
      summarise({at("input_max"), at("input_top10"), at("input_median"), at("layer_max")});
  models::save_tensors(context.output() / kSamplesFile, joined.samples);
  report_units(context, sizes);
  Json result = {{"metrics", {{"windows", at("input_max").size(0)}}},
                 {"fingerprint", joined.fingerprint}};
  add_metric(result, "activation_max", sizes.input_max.back());
  add_metric(result, "activation_top10", sizes.input_top10.back());
  add_metric(result, "activation_median", sizes.input_median.back());
  add_metric(result, "layer_input_max",
             *std::max_element(sizes.layer_max.begin(), sizes.layer_max.end()));
  note_hidden_bytes(result);
  return result;
}

std::vector<MetricValue> figures() {
  constexpr SampleStatistic kMean = SampleStatistic::kMean;
  return {{.name = "activation_max", .unit = "", .higher_is_better = false, .primary = true},
          {.name = "activation_top10",
           .unit = "",
           .higher_is_better = false,
           .samples = {"window_top10", kMean}},
          {.name = "activation_median",
           .unit = "",
           .higher_is_better = false,
           .primary = true,
           .samples = {"window_median", kMean}},
          {.name = "layer_input_max", .unit = "", .higher_is_better = false, .primary = true}};
}

}  // namespace

Metric activations_metric() {
  return {.declarations = {{.name = "activations",
                            .title = "How large the activations of a language model are",
                            .task = "language",
                            .parameters = schemas_of<TextOptions, ShardOptions>(),
                            .stage = "evaluate.activations",
                            .merge = "merge.activations",
                            .shards_parameter = "shards",
                            .values = figures()}},
          .stages = {{{.name = "evaluate.activations",
                       .revision = kRevision,
                       .reads = names_of<TextOptions>(),
                       .reads_model = true,
                       .reads_network = true,
                       .inputs = {tokens_input()}},
                      evaluate,
                      check_text},
                     {{.name = "merge.activations",
                       .revision = 1,
                       .reads = names_of<ShardOptions>(),
                       .exact = true},
                      merge}}};
}

}  // namespace assay::evaluate
