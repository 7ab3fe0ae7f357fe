#include <ATen/ATen.h>
#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "datasets/text_rules.h"
#include "datasets/token_set.h"
#include "harness/base/error.h"
#include "harness/contract/artifact_files.h"
#include "harness/contract/stage_result.h"
#include "harness/evaluate/evaluation_stage.h"
#include "harness/evaluate/fit.h"
#include "harness/evaluate/language.h"
#include "harness/evaluate/metric.h"
#include "harness/evaluate/windows.h"

namespace assay::evaluate {
namespace {

constexpr int kRevision = 3;
const std::vector<std::string> kNames = {"window_nll", "window_tokens", "window_words",
                                         "window_bytes"};

constexpr std::int64_t kDefaultContext = 2048;

// Of evaluate.language.
struct Options {
  std::int64_t context = 0;
  std::int64_t stride = 0;
  std::string bos = "tokenizer";
  std::string windows = "stream";
  std::int64_t limit = 0;
  std::int64_t chunk = 0;

  void visit(OptionVisitor& option) {
    option(context, {.name = "context",
                     .unit = "tokens",
                     .minimum = 0,
                     .doc = "Tokens of a window; 0 takes the model's own, at most 2048."});
    option(stride, {.name = "stride",
                    .unit = "tokens",
                    .minimum = 0,
                    .doc = "Tokens from one window to the next; if fewer than the context, only "
                           "that many are scored of each."});
    option(bos, {.name = "bos",
                 .choices = bos_rules(),
                 .doc = "Beginning-of-text id as the tokenizer does it, before every window, once "
                        "at the start of the text, or none."});
    option(windows, {.name = "windows",
                     .choices = {"stream", "documents"},
                     .doc = "Windows over the whole text, or none across documents."});
    option(limit, {.name = "limit",
                   .unit = "windows",
                   .minimum = 0,
                   .doc = "The first windows only; 0 takes all."});
    option(chunk, {.name = "chunk",
                   .unit = "windows",
                   .minimum = 0,
                   .doc = "Windows computed together; 0 takes about 2048 tokens."});
  }

  // Over a network that takes `most` tokens (0: any number).
  WindowProtocol protocol(std::int64_t most) const {
    const std::int64_t own = most > 0 ? std::min(kDefaultContext, most) : kDefaultContext;
    return {.context = context == 0 ? own : context, .stride = stride, .bos = bos, .text = windows};
  }
};

std::shared_ptr<const datasets::TokenSet> tokens_of(StageContext& context) {
  const std::filesystem::path artifact = context.input("tokens");
  const std::filesystem::path file = artifact / datasets::kTokensFile;
  return std::static_pointer_cast<const datasets::TokenSet>(
      context.resident("tokens " + publication_of(artifact), [&]() -> std::shared_ptr<void> {
        return std::make_shared<datasets::TokenSet>(datasets::read_tokens(file));
      }));
}

// What was measured, with the protocol as it was in effect: equal protocols have equal
// fingerprints, however a sweep spelled them.
Json protocol_fingerprint(const StageContext& context, const models::Network& network,
                          const Options& options, const WindowedText& windowed) {
  Json fingerprint = {{"metric", "perplexity"},
                      {"revision", kRevision},
                      {"text", fingerprint_of(context.input("tokens"))},
                      {"context", windowed.context},
                      {"stride", windowed.stride},
                      {"bos", windowed.bos_rule},
                      {"windows_over", options.windows},
                      {"averaging", "token"},
                      {"limit", options.limit},
                      {"samples", windowed.windows.size()}};
  add_numerics(context, network, fingerprint);
  fingerprint["logits_dtype"] = fingerprint["dtype"] == "F64" ? "F64" : "F32";
  return fingerprint;
}

Json evaluate(StageContext& context, const NetworkLoader& load) {
  const auto options = options_from<Options>(context);
  const LoadedNetwork loaded = load(context);
  const models::Network& network = *loaded.network;
  WindowedText windowed =
      cut_windows(*tokens_of(context), options.protocol(network.info().context));
  windowed.windows.resize(static_cast<std::size_t>(
      datasets::limited(static_cast<std::int64_t>(windowed.windows.size()), options.limit)));
  const datasets::ChunkPlan plan =
      shard_plan(context, static_cast<std::int64_t>(windowed.windows.size()),
                 options.chunk > 0 ? options.chunk : default_window_chunk(windowed.context));
  const LanguageRecords records =
      score_windows(network, *loaded.tap, windowed, plan, progress_of(context, "windows"));
  models::save_tensors(context.output() / kSamplesFile, {{"window_nll", records.window_nll},
                                                         {"window_tokens", records.window_tokens},
                                                         {"window_words", records.window_words},
                                                         {"window_bytes", records.window_bytes}});
  return {{"metrics", {{"windows", records.window_nll.numel()}}},
          {"fingerprint", protocol_fingerprint(context, network, options, windowed)}};
}

// What the fingerprint of a text says of bytes that a reader of the text does not see.
void note_hidden_bytes(Json& result) {
  const Json& text = result.at("fingerprint").at("text");
  const std::string note = datasets::note_of({text.value("carriage_returns", std::int64_t{0}),
                                              text.value("byte_order_marks", std::int64_t{0})});
  if (!note.empty()) {
    add_note(result, note);
  }
}

Json merge(StageContext& context, const NetworkLoader&) {
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

void check(const PlannedMeasurement& planned, Findings& findings) {
  const auto options = options_from<Options>(planned.context);
  if (planned.network != nullptr &&
      !findings.attempt("metric", [&] { require_context(*planned.network, options.context); })) {
    return;
  }
  const WindowProtocol protocol =
      options.protocol(planned.network == nullptr ? 0 : planned.network->context);
  const bool has_bos = planned.tokens == nullptr || planned.tokens->has_bos;
  // Without the network its own context is not known.
  const bool known = planned.network != nullptr || options.context > 0;
  if (known) findings.attempt("metric", [&] { check_protocol(protocol, has_bos); });
  const std::int64_t whole = protocol.text == "documents" ? 2 : known ? protocol.context : 0;
  // An id that is added in front takes the place of a token.
  const std::int64_t added = has_bos && protocol.bos != "none" ? 1 : 0;
  check_tokens(planned.network, planned.tokens, findings, whole - added, protocol.context);
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
                       .inputs = {{.name = "tokens", .stage = "tokenize", .split = ""}}},
                      evaluate,
                      check},
                     {{.name = "merge.language",
                       .revision = 2,
                       .reads = names_of<ShardOptions>(),
                       .exact = true},
                      merge}}};
}

}  // namespace assay::evaluate
