#include <ATen/ATen.h>
#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "datasets/text_rules.h"
#include "datasets/token_set.h"
#include "harness/core/artifact_files.h"
#include "harness/core/error.h"
#include "harness/core/stage_result.h"
#include "harness/evaluate/language.h"
#include "harness/evaluate/stage_recipe.h"
#include "harness/evaluate/stages.h"

namespace assay::evaluate {
namespace {

constexpr int kRevision = 3;
const std::vector<std::string> kNames = {"window_nll", "window_tokens", "window_words",
                                         "window_bytes"};

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
                          const WindowedText& windowed) {
  const StageParameters parameters(context);
  Json fingerprint = {{"metric", "perplexity"},
                      {"revision", kRevision},
                      {"text", fingerprint_of(context.input("tokens"))},
                      {"context", windowed.context},
                      {"stride", windowed.stride},
                      {"bos", windowed.bos_rule},
                      {"windows_over", parameters.text("windows")},
                      {"averaging", "token"},
                      {"limit", parameters.integer("limit")},
                      {"samples", windowed.windows.size()}};
  add_numerics(context, network, fingerprint);
  fingerprint["logits_dtype"] = fingerprint["dtype"] == "F64" ? "F64" : "F32";
  return fingerprint;
}

Json evaluate(StageContext& context, const NetworkLoader& load) {
  const StageParameters parameters(context);
  const LoadedNetwork loaded = load(context);
  const models::Network& network = *loaded.network;
  WindowedText windowed =
      cut_windows(*tokens_of(context), window_protocol(context, network.info().context));
  windowed.windows.resize(static_cast<std::size_t>(datasets::limited(
      static_cast<std::int64_t>(windowed.windows.size()), parameters.integer("limit"))));
  const std::int64_t chunk = parameters.integer("chunk");
  const datasets::ChunkPlan plan =
      shard_plan(context, static_cast<std::int64_t>(windowed.windows.size()),
                 chunk > 0 ? chunk : default_window_chunk(windowed.context));
  const LanguageRecords records =
      score_windows(network, *loaded.tap, windowed, plan, progress_of(context, "windows"));
  models::save_tensors(context.output() / kSamplesFile, {{"window_nll", records.window_nll},
                                                         {"window_tokens", records.window_tokens},
                                                         {"window_words", records.window_words},
                                                         {"window_bytes", records.window_bytes}});
  return {{"metrics", {{"windows", records.window_nll.numel()}}},
          {"fingerprint", protocol_fingerprint(context, network, windowed)}};
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

Json merge(StageContext& context) {
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

}  // namespace

std::vector<StageImplementation> language_stages(const NetworkLoader& load) {
  return {{{.name = "evaluate.language",
            .revision = kRevision,
            .reads = {"context", "stride", "bos", "windows", "limit", "chunk"},
            .reads_model = true,
            .reads_network = true,
            .inputs = {{.name = "tokens", .stage = "tokenize", .split = ""}}},
           [load](StageContext& context) { return evaluate(context, load); }},
          {{.name = "merge.language", .revision = 2, .reads = {"shards"}, .exact = true}, merge}};
}

}  // namespace assay::evaluate
