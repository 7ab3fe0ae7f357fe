#include "harness/base/error.h"
#include "harness/contract/stage_result.h"
#include "harness/evaluate/divergence.h"
#include "harness/evaluate/evaluation_stage.h"
#include "harness/evaluate/float_states.h"
#include "harness/evaluate/metric.h"
#include "harness/evaluate/text_stage.h"

namespace assay::evaluate {
namespace {

constexpr int kRevision = 1;
constexpr const char* kStatesInput = "float_states";
constexpr const char* kStatesFile = "states.safetensors";
constexpr const char* kStates = "states";

// The names of the records in samples.safetensors.
models::TensorMap tensors_of(const DivergenceRecords& records) {
  return {{"window_tokens", records.window_tokens},
          {"window_size", records.window_size},
          {"window_kld", records.window_kld},
          {"window_same_top", records.window_same_top},
          {"window_ln_ratio", records.window_ln_ratio},
          {"window_delta_p_squared", records.window_delta_p_squared},
          {"token_kld", records.token_kld},
          {"token_entropy", records.token_entropy},
          {"token_delta_p", records.token_delta_p},
          {"token_same_top", records.token_same_top}};
}

DivergenceRecords records_of(const models::TensorMap& tensors) {
  const auto at = [&](const char* name) { return tensors.at(name); };
  return {.window_tokens = at("window_tokens"),
          .window_size = at("window_size"),
          .window_kld = at("window_kld"),
          .window_same_top = at("window_same_top"),
          .window_ln_ratio = at("window_ln_ratio"),
          .window_delta_p_squared = at("window_delta_p_squared"),
          .token_kld = at("token_kld"),
          .token_entropy = at("token_entropy"),
          .token_delta_p = at("token_delta_p"),
          .token_same_top = at("token_same_top")};
}

std::vector<std::string> record_names() {
  std::vector<std::string> names;
  for (const auto& [name, tensor] : tensors_of({})) names.push_back(name);
  return names;
}

Json keep_states(StageContext& context, const NetworkLoaders& load) {
  const LoadedNetwork model = load.float_model(context);
  const auto [text, plan] =
      stage_text(context, options_from<TextOptions>(context), model.network->info());
  const at::Tensor states =
      float_states(*model.network, text, plan, progress_of(context, "windows"));
  models::save_tensors(context.output() / kStatesFile, {{kStates, states}});
  return {{"metrics", {{"positions", states.size(0)}}}};
}

at::Tensor states_of(const StageContext& context) {
  const std::filesystem::path file = context.input(kStatesInput) / kStatesFile;
  const models::TensorMap tensors = models::load_tensors(file);
  const auto found = tensors.find(kStates);
  if (found == tensors.end()) {
    throw Error(ErrorKind::kData, file.string() + ": lacks '" + kStates + "'");
  }
  return found->second;
}

Json evaluate(StageContext& context, const NetworkLoaders& load) {
  const auto options = options_from<TextOptions>(context);
  const LoadedNetwork loaded = load.trial(context);
  const LoadedNetwork model = load.float_model(context);
  const auto [text, plan] = stage_text(context, options, loaded.network->info());
  const DivergenceRecords records =
      compare_windows(*loaded.network, *loaded.tap, *model.network, states_of(context), text, plan,
                      progress_of(context, "windows"));
  models::save_tensors(context.output() / kSamplesFile, tensors_of(records));
  return {{"metrics", {{"windows", records.window_tokens.numel()}}},
          {"fingerprint",
           text_fingerprint("kl_divergence", kRevision, context, *loaded.network, options, text)}};
}

// Where in the text the divergence arises, as curves over tenths of its positions.
void report_tenths(StageContext& context, const DivergenceRecords& records,
                   std::int64_t window_tokens) {
  for (const TenthMean& each : by_position(records, window_tokens)) {
    context.metric("kld_by_position", each.kld, each.tenth);
  }
  for (const TenthMean& each : by_entropy(records)) {
    context.metric("kld_by_entropy", each.kld, each.tenth);
    context.metric("entropy_by_entropy", each.entropy, each.tenth);
  }
}

Json merge(StageContext& context, const NetworkLoaders&) {
  const JoinedShards joined = join_shards(context, record_names());
  const DivergenceRecords records = records_of(joined.samples);
  const DivergenceMetrics metrics = summarise(records);
  models::save_tensors(context.output() / kSamplesFile, joined.samples);
  report_tenths(context, records, joined.fingerprint.at("context").get<std::int64_t>());
  Json result = {{"metrics", {{"windows", metrics.windows}, {"tokens", metrics.tokens}}},
                 {"fingerprint", joined.fingerprint}};
  add_metric(result, "kld_mean", metrics.kld_mean);
  add_metric(result, "kld_p99", metrics.kld_p99);
  add_metric(result, "kld_p999", metrics.kld_p999);
  add_metric(result, "kld_max", metrics.kld_max);
  add_metric(result, "top1_agreement", metrics.top1_agreement);
  add_metric(result, "delta_p_rms", metrics.delta_p_rms);
  add_metric(result, "ln_ppl_ratio", metrics.ln_ppl_ratio);
  note_hidden_bytes(result);
  return result;
}

std::vector<MetricValue> figures() {
  constexpr SampleStatistic kMean = SampleStatistic::kMean;
  return {{.name = "kld_mean",
           .unit = "nats/token",
           .higher_is_better = false,
           .primary = true,
           .samples = {"window_kld", kMean, "window_tokens"}},
          {.name = "kld_p99", .unit = "nats", .higher_is_better = false},
          {.name = "kld_p999", .unit = "nats", .higher_is_better = false},
          {.name = "kld_max", .unit = "nats", .higher_is_better = false},
          {.name = "top1_agreement",
           .unit = "%",
           .primary = true,
           .samples = {"window_same_top", kMean, "window_tokens"}},
          {.name = "delta_p_rms", .unit = "", .higher_is_better = false},
          {.name = "ln_ppl_ratio",
           .unit = "nats/token",
           .higher_is_better = false,
           .samples = {"window_ln_ratio", kMean, "window_tokens"}}};
}

}  // namespace

Metric kl_divergence_metric() {
  return {
      .declarations = {{.name = "kl_divergence",
                        .title = "Divergence of a language model from its float model, token "
                                 "by token of a text",
                        .task = "language",
                        .parameters = schemas_of<TextOptions, ShardOptions>(),
                        .stage = "evaluate.divergence",
                        .merge = "merge.divergence",
                        .shards_parameter = "shards",
                        .values = figures()}},
      // The states are as large as the text is long, and nothing else reads them.
      .stages = {{{.name = "float_states",
                   .revision = kRevision,
                   .reads = names_of<TextOptions>(),
                   .reads_model = true,
                   .inputs = {tokens_input()},
                   .retention = Retention::kTemporary},
                  keep_states,
                  check_text},
                 {{.name = "evaluate.divergence",
                   .revision = kRevision,
                   .reads = names_of<TextOptions>(),
                   .reads_model = true,
                   .reads_network = true,
                   .inputs = {tokens_input(),
                              {.name = kStatesInput, .stage = "float_states", .same_shard = true}}},
                  evaluate,
                  check_text},
                 {{.name = "merge.divergence",
                   .revision = 1,
                   .reads = names_of<ShardOptions>(),
                   .exact = true},
                  merge}}};
}

}  // namespace assay::evaluate
