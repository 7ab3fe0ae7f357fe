#include "methods/cushioncache/method.h"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <initializer_list>
#include <utility>

#include "harness/base/atomic_file.h"
#include "harness/base/error.h"
#include "harness/base/json_members.h"
#include "harness/contract/declared_options.h"
#include "harness/contract/stage_parameters.h"
#include "harness/contract/stage_recipe.h"
#include "harness/contract/stage_result.h"
#include "harness/models/generation.h"
#include "harness/models/tensor_file.h"
#include "methods/cushioncache/search.h"
#include "methods/cushioncache/tuning.h"
#include "methods/method.h"
#include "methods/quant/quantized_model.h"
#include "methods/quant/stage_inputs.h"

namespace assay::cushioncache {
namespace {

constexpr const char* kSearch = "search.json";
constexpr const char* kState = "state.safetensors";
constexpr int kUsualBits = 8;                    // where activations stay float
constexpr std::int64_t kSearchLength = 512;      // of the paper
constexpr std::int64_t kCandidatesBetween = 64;  // checkpoints of the search
constexpr std::int64_t kStepsBetween = 8;        // checkpoints of the tuning

void visit_longest(std::int64_t& max_prefix, OptionVisitor& option) {
  option(max_prefix, {.name = "max_prefix",
                      .unit = "tokens",
                      .minimum = 1,
                      .maximum = 1024,
                      .doc = "The longest prefix, start tokens included."});
}

void visit_error(ErrorOptions& error, OptionVisitor& option) {
  option.bits(error.bits, "a_bits");
  option(error.range, {.name = "act", .doc = "What shares a range in the quantization error."});
  option(
      error.denominator,
      {.name = "scale_denominator",
       .doc = "Steps of that range at N bits: 2^(N-1) - 1, as the paper prints it, or 2^N - 1."});
}

// Of cushioncache.search.
struct SearchParameters {
  SearchOptions search;
  std::int64_t length = 0;
  std::int64_t candidates = 0;
  std::vector<std::int64_t> candidate_ids;

  void visit(OptionVisitor& option) {
    option(search.tau, {.name = "tau",
                        .minimum = 0,
                        .maximum = 1,
                        .doc = "A token joins the prefix if it lowers the quantization error to so "
                               "many times or less."});
    visit_longest(search.max_prefix, option);
    option(search.start, {.name = "start",
                          .minimum = 0,
                          .doc = "Token ids that the prefix begins with, such as that of the "
                                 "beginning of text or of a line feed."});
    option(length, {.name = "search_length",
                    .unit = "tokens",
                    .minimum = 0,
                    .doc = "Tokens of the text that a step is searched on; 0 takes 512, or what a "
                           "calibration window has."});
    option(search.texts, {.name = "search_texts",
                          .unit = "texts",
                          .minimum = 1,
                          .maximum = 100000,
                          .doc = "Texts whose errors a step adds up; the paper takes one, on which "
                                 "a sink that it does not show is not seen."});
    option(candidates, {.name = "candidates",
                        .unit = "tokens",
                        .minimum = 0,
                        .doc = "Only the most frequent so many ids of the calibration text are "
                               "tried; 0 tries the whole vocabulary, as the paper does.",
                        .when = "candidate_ids=[]"});
    option(candidate_ids,
           {.name = "candidate_ids", .minimum = 0, .doc = "Only these ids are tried."});
    visit_error(search.error, option);
  }
};

// Of cushioncache.prefix.
struct TuneParameters {
  TuningOptions tuning;
  bool tune = true;
  std::int64_t max_prefix = SearchOptions().max_prefix;

  void visit(OptionVisitor& option) {
    visit_own(option);
    visit_longest(max_prefix, option);
    visit_error(tuning.error, option);
  }

  // What the search does not read.
  void visit_own(OptionVisitor& option) {
    option(tune, {.name = "tune", .doc = "Keys and values of the prefix are tuned."});
    option(tuning.lambda, {.name = "lambda",
                           .minimum = 0,
                           .doc = "Weight of the quantization error beside the prediction loss.",
                           .when = "tune=true"});
    option(
        tuning.error_mean,
        {.name = "error_mean",
         .doc = "What that error is a mean over: tokens, as the prediction loss is, or sequences, "
                "as the paper's formula reads.",
         .when = "tune=true"});
    option(tuning.epochs, {.name = "epochs",
                           .unit = "epochs",
                           .minimum = 1,
                           .maximum = 10000,
                           .doc = "Passes over the calibration windows.",
                           .when = "tune=true"});
    option(tuning.learning_rate, {.name = "learning_rate",
                                  .minimum = 0,
                                  .maximum = 10,
                                  .doc = "Of AdamW's first step; it falls to 0 in a line.",
                                  .when = "tune=true"});
    option(tuning.batch, {.name = "batch",
                          .unit = "windows",
                          .minimum = 1,
                          .maximum = 100000,
                          .doc = "Calibration windows a step.",
                          .when = "tune=true"});
    option(tuning.prediction,
           {.name = "prediction",
            .doc = "The prediction loss of the float network, or of one with rounded activations.",
            .when = "tune=true"});
  }
};

// Of the method.
struct Parameters {
  SearchParameters search;
  TuneParameters tune;

  void visit(OptionVisitor& option) {
    search.visit(option);
    tune.visit_own(option);
  }
};

Json json_of(const SearchState& state) {
  Json steps = Json::array();
  for (const SearchStep& step : state.steps) {
    steps.push_back({{"token", step.token}, {"before", step.before}, {"after", step.after}});
  }
  Json json = {{"steps", steps},
               {"finished", state.finished},
               {"tried", state.tried},
               {"best", state.best},
               {"error_before", state.error_before}};
  if (state.best >= 0) json["best_error"] = state.best_error;
  return json;
}

SearchState state_from(const Json& json, const std::string& where) {
  SearchState state;
  for (const Json& step : list_member(json, "steps", where)) {
    state.steps.push_back({integer_member(step, "token", where),
                           number_member(step, "before", where),
                           number_member(step, "after", where)});
  }
  state.finished = flag_member(json, "finished", where);
  state.tried = integer_member(json, "tried", where);
  state.best = integer_member(json, "best", where);
  state.error_before = number_member(json, "error_before", where);
  if (state.best >= 0) state.best_error = number_member(json, "best_error", where);
  return state;
}

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

// With the bits that the error is computed for: those of the trial's activations.
ErrorOptions error_of_trial(ErrorOptions error) {
  if (error.bits == kFloatBits) error.bits = kUsualBits;
  if (error.bits > 1 || error.denominator == Denominator::kFull) return error;
  throw Error(ErrorKind::kUnsupported,
              "a_bits = 1 with scale_denominator: printed, which is 2^(1-1) - 1 = 0 steps; take 2 "
              "bits or more, or scale_denominator: full",
              {{"parameter", "a_bits"}, {"value", "1"}});
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

// A network that has the prefix and rounds nothing.
Json publish(StageContext& context, const quant::MethodNetwork& loaded, models::Prefix prefix,
             const SearchState& search) {
  const quant::QuantizedModel model{.method = "cushioncache", .prefix = std::move(prefix)};
  save_quantized(context.output(), model);
  write_file_atomically(context.output() / kSearch, json_of(search).dump(1) + "\n");
  Json result = quantization_result(*loaded.network, loaded.before, model);
  result["metrics"]["prefix_tokens"] = model.prefix.length();
  return result;
}

Json find(StageContext& context, const quant::ModelLoader& loader) {
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
    state = state_from(parse_json(read_file(checkpoint), checkpoint.string()), checkpoint.string());
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

// The prefix that the search found, in the network's dtype.
void take_prefix(const StageContext& context, models::Network& network, SearchState& search) {
  const std::filesystem::path folder = context.input("search");
  const std::string file = (folder / kSearch).string();
  search = state_from(parse_json(read_file(file), file), file);
  quant::apply(quant::load_quantized(folder), network);
}

void run_tuner(StageContext& context, Tuner& tuner) {
  const std::filesystem::path checkpoint = context.resume_dir() / kState;
  if (std::filesystem::exists(checkpoint)) {
    models::TensorMap state = models::load_tensors(checkpoint);
    const at::Tensor steps = state["steps"];
    if (!steps.defined() || steps.numel() != 1) {
      throw Error(ErrorKind::kData, fmt::format("{}: 'steps' is missing", checkpoint.string()));
    }
    tuner.restore(state, steps.item<std::int64_t>());
  }
  const std::int64_t total = tuner.total_steps();
  while (tuner.steps_done() < total) {
    const Losses losses = tuner.step();
    const std::int64_t done = tuner.steps_done();
    context.metric("prediction_loss", losses.prediction, done);
    context.metric("quantization_error", losses.error, done);
    context.progress(done, total, "steps");
    const bool stop = context.stop_requested() && done < total;
    if (!stop && done % kStepsBetween != 0) continue;
    models::TensorMap state = tuner.state();
    state["steps"] = at::tensor(std::vector<std::int64_t>{done}, at::kLong);
    models::save_tensors(checkpoint, state);
    context.checkpoint(done);
    if (stop)
      throw Error(ErrorKind::kLost, fmt::format("stopped after {} of {} steps", done, total));
  }
}

Json tune(StageContext& context, const quant::ModelLoader& loader) {
  auto options = options_from<TuneParameters>(context);
  options.tuning.seed = seed_of(context);
  options.tuning.error = error_of_trial(options.tuning.error);
  quant::MethodNetwork loaded = loader(context);
  models::Network& network = *loaded.network;
  quant::widen(network);
  SearchState search;
  take_prefix(context, network, search);
  if (options.tune && !network.prefix().empty()) {
    Tuner tuner(network, quant::calibration_inputs(context, network), options.tuning);
    run_tuner(context, tuner);
  }
  std::vector<models::KeyValues> units = network.prefix().units();
  for (models::KeyValues& pair : units) pair = {pair.keys.detach(), pair.values.detach()};
  return publish(context, loaded, models::Prefix(std::move(units)), search);
}

void check(const PlannedStage& stage) {
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

std::vector<InputDeclaration> inputs_of_prefix() {
  std::vector<InputDeclaration> inputs = quant::calibration_data("tune=true");
  inputs.push_back({.name = "search", .stage = "cushioncache.search"});
  return inputs;
}

void check_tuning(const PlannedStage& stage) {
  const StageParameters asked(stage.context);
  if (!options_from<TuneParameters>(stage.context).tune || asked.integer("context") > 1) return;
  throw Error(
      ErrorKind::kConfig,
      "context: 1; in a window of one token nothing is predicted; write context: 2 or more, "
      "or tune: false",
      {{"parameter", "context"}, {"value", "1"}});
}

// Options of a stage, and calibration parameters that it is checked by.
template <typename Options>
std::vector<std::string> names_with(std::initializer_list<const char*> more) {
  std::vector<std::string> names = names_of<Options>();
  names.insert(names.end(), more.begin(), more.end());
  return names;
}

Rounding prefixes(const StageContext& context) {
  const StageParameters asked(context);
  return {.bits = {.activations = asked.bits("a_bits")}, .prefix = asked.integer("max_prefix")};
}

}  // namespace
}  // namespace assay::cushioncache

namespace assay {

Method cushioncache_method() {
  using namespace cushioncache;
  std::vector<ParameterSchema> parameters = schemas_of<Parameters>();
  const std::vector<ParameterSchema> calibration = quant::calibration_parameters(64);
  parameters.insert(parameters.end(), calibration.begin(), calibration.end());
  return {.declaration = {.name = "cushioncache",
                          .title = "CushionCache: a prefix that takes the outliers of activations",
                          .paper = "Son et al., EMNLP 2024, arXiv 2406.12016",
                          .families = {"opt", "llama"},
                          .parameters = std::move(parameters),
                          .reads_bits = true,
                          .calibration = "calibration",
                          .traits = {"quantizer"},
                          .switches = {"tune"},
                          .network = "cushioncache.prefix",
                          .values = quant::network_values_with_prefix()},
          .stages = {{.declaration = {.name = "cushioncache.search",
                                      .revision = 1,
                                      .reads = names_with<SearchParameters>({"context", "samples"}),
                                      .reads_model = true,
                                      .reads_network = true,
                                      .inputs = quant::calibration_data()},
                      .run = find,
                      .check = check,
                      .rounds = prefixes},
                     {.declaration = {.name = "cushioncache.prefix",
                                      .revision = 2,
                                      .reads = names_with<TuneParameters>({"context"}),
                                      .reads_model = true,
                                      .reads_network = true,
                                      .inputs = inputs_of_prefix(),
                                      .random = "calibration_seed"},
                      .run = tune,
                      .check = check_tuning,
                      .rounds = prefixes}},
          .canary = canary};
}

}  // namespace assay
