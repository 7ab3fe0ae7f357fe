#include <ATen/ATen.h>
#include <fmt/format.h>

#include <algorithm>

#include "datasets/token_set.h"
#include "harness/core/error.h"
#include "harness/evaluate/language.h"
#include "harness/evaluate/stage_recipe.h"
#include "harness/evaluate/stages.h"

namespace assay::evaluate {
namespace {

constexpr int kRevision = 2;
constexpr std::int64_t kDefaultContext = 2048;
const std::vector<std::string> kNames = {"window_nll", "window_tokens", "window_words",
                                         "window_bytes"};

WindowProtocol protocol_of(const StageContext& context, const models::NetworkInfo& info) {
  const std::string bos = text(context, "bos");
  if (bos != "tokenizer" && bos != "every_window") {
    throw Error(ErrorKind::kConfig, fmt::format("bos: {}; legal: tokenizer, every_window", bos));
  }
  WindowProtocol protocol{.context = integer(context, "context"),
                          .stride = integer(context, "stride"),
                          .bos_every_window = bos == "every_window",
                          .text = text(context, "windows")};
  if (protocol.context == 0) {
    protocol.context = info.context > 0 ? std::min(kDefaultContext, info.context) : kDefaultContext;
  }
  return protocol;
}

std::shared_ptr<const datasets::TokenSet> tokens_of(StageContext& context) {
  const std::filesystem::path file = context.input("tokens") / datasets::kTokensFile;
  // The path of an artifact holds its key, which names its content.
  return std::static_pointer_cast<const datasets::TokenSet>(
      context.resident("tokens " + file.string(), [&]() -> std::shared_ptr<void> {
        return std::make_shared<datasets::TokenSet>(datasets::read_tokens(file));
      }));
}

Json evaluate(StageContext& context, const NetworkLoader& load) {
  const LoadedNetwork loaded = load(context);
  const auto tokens = tokens_of(context);
  const WindowProtocol protocol = protocol_of(context, loaded.network->info());
  std::vector<Window> windows = cut_windows(*tokens, protocol);
  const std::int64_t limit = integer(context, "limit");
  windows.resize(static_cast<std::size_t>(
      datasets::limited(static_cast<std::int64_t>(windows.size()), limit)));
  const std::int64_t chunk = integer(context, "chunk");
  const datasets::ChunkPlan plan =
      shard_plan(context, static_cast<std::int64_t>(windows.size()),
                 chunk > 0 ? chunk : default_window_chunk(protocol.context));
  const LanguageRecords records = score_windows(*loaded.network, *loaded.tap, *tokens, windows,
                                                protocol, plan, progress_of(context, "windows"));
  models::save_tensors(context.output() / kSamplesFile, {{"window_nll", records.window_nll},
                                                         {"window_tokens", records.window_tokens},
                                                         {"window_words", records.window_words},
                                                         {"window_bytes", records.window_bytes}});
  Json fingerprint = {{"metric", "perplexity"},
                      {"revision", kRevision},
                      {"text", fingerprint_of(context.input("tokens"))},
                      {"context", protocol.context},
                      {"stride", protocol.stride},
                      {"bos", text(context, "bos")},
                      {"windows_over", protocol.text},
                      {"averaging", "token"},
                      {"limit", limit},
                      {"samples", windows.size()}};
  add_numerics(context, *loaded.network, fingerprint);
  fingerprint["logits_dtype"] = fingerprint["dtype"] == "F64" ? "F64" : "F32";
  return {{"metrics", {{"windows", records.window_nll.numel()}}}, {"fingerprint", fingerprint}};
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
  add_metric(result, "word_perplexity", metrics.word_perplexity);
  add_metric(result, "byte_perplexity", metrics.byte_perplexity);
  add_metric(result, "bits_per_byte", metrics.bits_per_byte);
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
          {{.name = "merge.language", .reads = {"shards"}, .exact = true}, merge}};
}

}  // namespace assay::evaluate
