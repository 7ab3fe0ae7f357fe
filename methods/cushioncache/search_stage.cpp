#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

#include "harness/base/atomic_file.h"
#include "harness/base/error.h"
#include "harness/contract/stage_parameters.h"
#include "harness/contract/stage_result.h"
#include "harness/models/generation.h"
#include "methods/cushioncache/parameters.h"
#include "methods/cushioncache/prefix_artifact.h"
#include "methods/cushioncache/stages.h"
#include "methods/quant/stage_inputs.h"

namespace assay::cushioncache {
namespace {

constexpr std::int64_t kSearchLength = 512;      // of the paper
constexpr std::int64_t kCandidatesBetween = 64;  // checkpoints

void require_ids(const char* parameter, const std::vector<std::int64_t>& ids,
                 std::int64_t vocabulary) {
  for (const std::int64_t id : ids) {
    if (id < vocabulary) continue;
    throw Error(
        ErrorKind::kConfig,
        fmt::format("{}: {} is no id of the network's vocabulary of {}", parameter, id, vocabulary),
        {{"parameter", parameter}, {"value", std::to_string(id)}});
  }
}

SearchOptions search_options(const SearchParameters& parameters, const models::Network& network,
                             const at::Tensor& tokens) {
  SearchOptions options = parameters.search;
  options.error = error_of_trial(options.error);
  options.candidates = parameters.candidate_ids.empty()
                           ? frequent_ids(tokens, network.info().outputs, parameters.candidates)
                           : parameters.candidate_ids;
  return options;
}

// Tokens of a step's text: what is asked for, as far as windows and positions go.
std::int64_t search_length(const SearchParameters& parameters, const models::NetworkInfo& info,
                           std::int64_t window) {
  const std::int64_t positions =
      info.context - (info.learned_positions ? parameters.search.max_prefix : 1);
  const std::int64_t longest = std::min(window, positions);
  if (parameters.length == 0) return std::min(kSearchLength, longest);
  if (parameters.length <= longest) return parameters.length;
  throw Error(ErrorKind::kConfig,
              fmt::format("search_length: {}; calibration windows and the positions that a prefix "
                          "leaves have {} tokens; write search_length: {} or less, or 0",
                          parameters.length, longest, longest),
              {{"parameter", "search_length"}, {"value", std::to_string(parameters.length)}});
}

}  // namespace

Json search_prefix(StageContext& context, const quant::ModelLoader& loader) {
  const at::NoGradGuard no_gradients;
  const auto parameters = options_from<SearchParameters>(context);
  quant::MethodNetwork loaded = loader(context);
  models::Network& network = *loaded.network;
  quant::widen(network);
  const at::Tensor tokens = quant::calibration_inputs(context, network);
  const SearchOptions options = search_options(parameters, network, tokens);
  const at::Tensor texts =
      tokens.narrow(1, 0, search_length(parameters, network.info(), tokens.size(1)));
  const std::filesystem::path checkpoint = context.resume_dir() / kSearch;
  SearchState state;
  if (std::filesystem::exists(checkpoint)) {
    state = load_search(checkpoint);
  }
  const auto total = static_cast<std::int64_t>(options.candidates.size());
  const auto visited = [&](const SearchState& now) {
    const auto accepted = static_cast<std::int64_t>(now.steps.size());
    context.progress(now.tried, total, fmt::format("candidates of token {}", accepted + 1));
    const bool stop = context.stop_requested();
    if (!stop && now.tried % kCandidatesBetween != 0 && now.tried != total) return;
    write_file_atomically(checkpoint, json_of(now).dump());
    context.checkpoint(accepted * total + now.tried);
    if (stop) {
      throw Error(ErrorKind::kLost, fmt::format("stopped after {} of {} candidates of token {}",
                                                now.tried, total, accepted + 1));
    }
  };
  state = search(network, texts, options, std::move(state), visited);
  const std::vector<std::int64_t> ids = tokens_of(options, state);
  network.set_prefix({});
  const at::Tensor prompt = at::tensor(ids, at::kLong).to(texts.device());
  Json result = publish(context, loaded, models::prefix_of(network, prompt), state);
  if (ids.empty()) {
    add_note(result,
             fmt::format("no token lowers the quantization error to {} times what it is, so "
                         "the prefix is empty; {}`start` gives one",
                         options.tau, options.tau < 1 ? "a higher tau may give one, " : ""));
  } else {
    add_note(result, fmt::format("prefix of the tokens {}", fmt::join(ids, ", ")));
  }
  return result;
}

void check_search(const PlannedStage& stage) {
  const auto parameters = options_from<SearchParameters>(stage.context);
  const SearchOptions& search = parameters.search;
  const models::NetworkInfo& info = stage.network.info();
  error_of_trial(search.error);
  require_ids("start", search.start, info.outputs);
  require_ids("candidate_ids", parameters.candidate_ids, info.outputs);
  if (static_cast<std::int64_t>(search.start.size()) > search.max_prefix) {
    throw Error(
        ErrorKind::kConfig,
        fmt::format("start has {} tokens, and max_prefix is {}: write max_prefix: {} or more",
                    search.start.size(), search.max_prefix, search.start.size()),
        {{"parameter", "max_prefix"}, {"value", std::to_string(search.max_prefix)}});
  }
  // Two are left to a sequence, so that something can be predicted.
  if (search.max_prefix > info.context - 2) {
    throw Error(
        ErrorKind::kConfig,
        fmt::format("max_prefix: {}; the network has {} positions in all; write max_prefix: "
                    "{} or less",
                    search.max_prefix, info.context, info.context - 2),
        {{"parameter", "max_prefix"}, {"value", std::to_string(search.max_prefix)}});
  }
  const StageParameters calibration(stage.context);
  search_length(parameters, info, calibration.integer("context"));
  if (const std::int64_t samples = calibration.integer("samples"); search.texts > samples) {
    throw Error(ErrorKind::kConfig,
                fmt::format("search_texts: {}; there are {} calibration windows; write "
                            "search_texts: {} or less, or more samples",
                            search.texts, samples, samples),
                {{"parameter", "search_texts"}, {"value", std::to_string(search.texts)}});
  }
  require_prefix_fits(stage, "cushioncache");
}

}  // namespace assay::cushioncache
