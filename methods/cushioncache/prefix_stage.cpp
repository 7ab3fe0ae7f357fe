#include <ATen/ATen.h>
#include <fmt/format.h>

#include <utility>

#include "harness/base/error.h"
#include "harness/contract/stage_parameters.h"
#include "harness/models/tensor_file.h"
#include "methods/cushioncache/parameters.h"
#include "methods/cushioncache/prefix_artifact.h"
#include "methods/cushioncache/stages.h"
#include "methods/quant/quantized_model.h"
#include "methods/quant/stage_inputs.h"

namespace assay::cushioncache {
namespace {

constexpr const char* kState = "state.safetensors";
constexpr std::int64_t kStepsBetween = 8;  // checkpoints

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

}  // namespace

Json tune_prefix(StageContext& context, const quant::ModelLoader& loader) {
  auto options = options_from<TuneParameters>(context);
  options.tuning.seed = seed_of(context);
  options.tuning.error = error_of_trial(options.tuning.error);
  quant::MethodNetwork loaded = loader(context);
  models::Network& network = *loaded.network;
  quant::widen(network);
  const std::filesystem::path found = context.input("search");
  const SearchState search = load_search(found / kSearch);
  quant::apply(quant::load_quantized(found), network);
  if (options.tune && !network.prefix().empty()) {
    Tuner tuner(network, quant::calibration_inputs(context, network), options.tuning);
    run_tuner(context, tuner);
  }
  std::vector<models::KeyValues> units = network.prefix().units();
  for (models::KeyValues& pair : units) pair = {pair.keys.detach(), pair.values.detach()};
  return publish(context, loaded, models::Prefix(std::move(units)), search);
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

}  // namespace assay::cushioncache
