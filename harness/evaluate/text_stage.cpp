#include "harness/evaluate/text_stage.h"

#include <fmt/format.h>

#include <algorithm>
#include <memory>

#include "datasets/text_rules.h"
#include "datasets/token_set.h"
#include "harness/base/error.h"
#include "harness/contract/artifact_files.h"
#include "harness/contract/stage_result.h"
#include "harness/evaluate/evaluation_stage.h"
#include "harness/evaluate/fit.h"
#include "harness/evaluate/language.h"

namespace assay::evaluate {
namespace {

constexpr std::int64_t kDefaultContext = 2048;
constexpr const char* kTokens = "tokens";

std::shared_ptr<const datasets::TokenSet> tokens_of(StageContext& context) {
  const std::filesystem::path artifact = context.input(kTokens);
  const std::filesystem::path file = artifact / datasets::kTokensFile;
  return std::static_pointer_cast<const datasets::TokenSet>(
      context.resident("tokens " + publication_of(artifact), [&]() -> std::shared_ptr<void> {
        return std::make_shared<datasets::TokenSet>(datasets::read_tokens(file));
      }));
}

}  // namespace

void TextOptions::visit(OptionVisitor& option) {
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

WindowProtocol TextOptions::protocol(std::int64_t most) const {
  const std::int64_t own = most > 0 ? std::min(kDefaultContext, most) : kDefaultContext;
  return {.context = context == 0 ? own : context, .stride = stride, .bos = bos, .text = windows};
}

InputDeclaration tokens_input() { return {.name = kTokens, .stage = "tokenize", .split = ""}; }

StageText stage_text(StageContext& context, const TextOptions& options,
                     const models::NetworkInfo& info) {
  WindowedText text = cut_windows(*tokens_of(context), options.protocol(info.context));
  const std::int64_t count =
      datasets::limited(static_cast<std::int64_t>(text.windows.size()), options.limit);
  text.windows.resize(static_cast<std::size_t>(count));
  const std::int64_t chunk = options.chunk > 0 ? options.chunk : default_window_chunk(text.context);
  return {std::move(text), shard_plan(context, count, chunk)};
}

Json text_fingerprint(const char* metric, int revision, const StageContext& context,
                      const models::Network& network, const TextOptions& options,
                      const WindowedText& text) {
  Json fingerprint = {{"metric", metric},
                      {"revision", revision},
                      {"text", fingerprint_of(context.input(kTokens))},
                      {"context", text.context},
                      {"stride", text.stride},
                      {"bos", text.bos_rule},
                      {"windows_over", options.windows},
                      {"averaging", "token"},
                      {"limit", options.limit},
                      {"samples", text.windows.size()}};
  add_numerics(context, network, fingerprint);
  fingerprint["logits_dtype"] = fingerprint["dtype"] == "F64" ? "F64" : "F32";
  return fingerprint;
}

void note_hidden_bytes(Json& result) {
  const Json& text = result.at("fingerprint").at("text");
  const std::string note = datasets::note_of({text.value("carriage_returns", std::int64_t{0}),
                                              text.value("byte_order_marks", std::int64_t{0})});
  if (!note.empty()) {
    add_note(result, note);
  }
}

namespace {

// With a prefix, "all positions" are others for every length of it: windows would differ from those
// of the float network.
void require_context_behind_prefix(const PlannedMeasurement& planned, const TextOptions& options) {
  if (planned.prefix == 0 || !planned.network->learned_positions) return;
  if (options.context > 0 && options.context <= planned.network->context) return;
  throw Error(ErrorKind::kConfig,
              fmt::format("context: {}; of the network's positions a prefix takes up to {}, and {} "
                          "are left; write context: {} or less, for the float network too",
                          options.context, planned.prefix, planned.network->context,
                          planned.network->context),
              {{"field", "context"}, {"value", std::to_string(options.context)}});
}

}  // namespace

void check_text(const PlannedMeasurement& planned, Findings& findings) {
  const auto options = options_from<TextOptions>(planned.context);
  if (planned.network != nullptr &&
      !findings.attempt("metric", [&] { require_context_behind_prefix(planned, options); })) {
    return;
  }
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

}  // namespace assay::evaluate
