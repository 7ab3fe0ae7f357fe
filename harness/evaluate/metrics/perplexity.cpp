#include <cmath>

#include "harness/contract/stage_result.h"
#include "harness/evaluate/evaluation_stage.h"
#include "harness/evaluate/language.h"
#include "harness/evaluate/metric.h"
#include "harness/evaluate/text_stage.h"

namespace assay::evaluate {
namespace {

constexpr int kRevision = 3;
const std::vector<std::string> kNames = {"window_nll", "window_tokens", "window_words",
                                         "window_bytes"};

// Of evaluate.language.
struct Options {
  TextOptions text;
  Passing passing = Passing::kWhole;

  void visit(OptionVisitor& option) {
    text.visit(option);
    option(passing, {.name = "pass",
                     .doc = "A window in one pass, or token by token through the cache of keys and "
                            "values, as generation does."});
  }
};

Json evaluate(StageContext& context, const NetworkLoaders& load) {
  const auto options = options_from<Options>(context);
  const LoadedNetwork loaded = load.trial(context);
  const auto [text, plan] = stage_text(context, options.text, loaded.network->info());
  const LanguageRecords records =
      score_windows(*loaded.network, *loaded.tap, text, plan, progress_of(context, "windows"),
                    options.passing);
  models::save_tensors(context.output() / kSamplesFile, {{"window_nll", records.window_nll},
                                                         {"window_tokens", records.window_tokens},
                                                         {"window_words", records.window_words},
                                                         {"window_bytes", records.window_bytes}});
  Json fingerprint = text_fingerprint("perplexity", kRevision, context, *loaded.network,
                                      options.text, text);
  if (options.passing == Passing::kDecode) fingerprint["pass"] = "decode";
  return {{"metrics", {{"windows", records.window_nll.numel()}}}, {"fingerprint", fingerprint}};
}

Json merge(StageContext& context, const NetworkLoaders&) {
  const JoinedShards joined = join_shards(context, kNames);
  const auto at = [&](const char* name) { return joined.samples.at(name); };
  const LanguageMetrics metrics = summarise(LanguageRecords{
      at("window_nll"), at("window_tokens"), at("window_words"), at("window_bytes")});
  models::save_tensors(context.output() / kSamplesFile, joined.samples);
  Json result = {{"metrics", {{"windows", metrics.windows}, {"tokens", metrics.tokens}}},
                 {"fingerprint", joined.fingerprint}};
  add_metric(result, "nll", metrics.nll);
  add_metric(result, "perplexity", metrics.perplexity);
  if (std::isfinite(metrics.word_perplexity) || !std::isfinite(metrics.perplexity)) {
    add_metric(result, "word_perplexity", metrics.word_perplexity);
  } else {
    add_note(result, "word_perplexity is not defined, for no word begins in the scored tokens");
  }
  add_metric(result, "byte_perplexity", metrics.byte_perplexity);
  add_metric(result, "bits_per_byte", metrics.bits_per_byte);
  note_hidden_bytes(result);
  return result;
}

std::vector<MetricValue> figures() {
  return {{.name = "perplexity",
           .unit = "",
           .higher_is_better = false,
           .primary = true,
           .samples = {"window_nll", SampleStatistic::kExpMean, "window_tokens"}},
          {.name = "nll",
           .unit = "nats/token",
           .higher_is_better = false,
           .samples = {"window_nll", SampleStatistic::kMean, "window_tokens"}},
          {.name = "word_perplexity", .unit = "", .higher_is_better = false},
          {.name = "byte_perplexity", .unit = "", .higher_is_better = false},
          {.name = "bits_per_byte", .unit = "bits/byte", .higher_is_better = false}};
}

}  // namespace

Metric perplexity_metric() {
  return {.declarations = {{.name = "perplexity",
                            .title = "Perplexity of a language model on the windows of a text",
                            .task = "language",
                            .parameters = schemas_of<Options, ShardOptions>(),
                            .stage = "evaluate.language",
                            .merge = "merge.language",
                            .shards_parameter = "shards",
                            .values = figures()}},
          .stages = {{{.name = "evaluate.language",
                       .revision = kRevision,
                       .reads = names_of<Options>(),
                       .reads_model = true,
                       .reads_network = true,
                       .inputs = {tokens_input()}},
                      evaluate,
                      check_text},
                     {{.name = "merge.language",
                       .revision = 2,
                       .reads = names_of<ShardOptions>(),
                       .exact = true},
                      merge}}};
}

}  // namespace assay::evaluate
