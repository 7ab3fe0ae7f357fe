#include "methods/psaq_vit/method.h"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>
#include <fmt/format.h>

#include <array>
#include <utility>

#include "harness/base/atomic_file.h"
#include "harness/base/error.h"
#include "harness/contract/declared_options.h"
#include "harness/contract/stage_recipe.h"
#include "harness/models/tensor_file.h"
#include "methods/psaq_vit/synthesis.h"
#include "methods/quant/grid_search.h"
#include "methods/quant/in_layer.h"
#include "methods/quant/stage_inputs.h"

namespace assay::psaq_vit {
namespace {

constexpr std::int64_t kCheckpointEvery = 50;
constexpr const char* kState = "state.safetensors";
constexpr const char* kImages = "images.safetensors";
constexpr const char* kRanges = "ranges.json";

// Of psaq_vit.synthesize.
struct SynthesizeOptions : SynthesisOptions {
  std::string statistics = "model";

  void visit(OptionVisitor& option) {
    option(images, {.name = "images",
                    .unit = "images",
                    .minimum = 1,
                    .maximum = 4096,
                    .doc = "Synthetic images, one batch."});
    option(rounds, {.name = "rounds",
                    .minimum = 1,
                    .maximum = 100,
                    .doc = "Rounds; the schedule restarts in each."});
    option(steps, {.name = "steps",
                   .unit = "iterations",
                   .minimum = 5,
                   .maximum = 1e6,
                   .doc = "Iterations a round."});
    const auto real = [&option](double& value, const char* name, double least, double most,
                                const char* doc) {
      option(value, {.name = name, .minimum = least, .maximum = most, .doc = doc});
    };
    real(learning_rate, "lr", 1e-6, 100, "Peak learning rate of Adam.");
    real(ce_weight, "ce_weight", 0, 1e6, "Weight of the cross-entropy.");
    real(tv_weight, "tv_weight", 0, 1e6, "Weight of the total variation.");
    real(pse_weight, "pse_weight", 0, 1e6, "Weight of the patch-similarity entropy.");
    real(flip, "flip", 0, 1, "Probability of mirroring the batch.");
    option(kde.points, {.name = "kde_points",
                        .minimum = 2,
                        .maximum = 1000,
                        .doc = "Points of the density estimate."});
    real(kde.sigma, "kde_sigma", 1e-6, 10, "Bandwidth of the density estimate.");
    real(kde.floor, "kde_floor", 1e-12, 1, "Added to each density.");
    option(statistics, {.name = "clip_stats",
                        .choices = {"model", "imagenet"},
                        .doc = "Statistics that bound the images; imagenet: as the release."});
    imagenet_clip = statistics == "imagenet";
  }
};

// Of psaq_vit.quantize.
struct QuantizeOptions {
  int weight_bits = kFloatBits;
  int activation_bits = kFloatBits;

  void visit(OptionVisitor& option) {
    option.bits(weight_bits, "w_bits");
    option.bits(activation_bits, "a_bits");
  }
};

// Images are made by gradients.
void require_gradients(bool has_gradients) {
  if (has_gradients) return;
  throw Error(ErrorKind::kUnsupported,
              "psaq_vit makes its images by gradients, and the activation quantizers of the "
              "methods before it have none; put psaq_vit before them");
}

void save_state(const std::filesystem::path& folder, const SynthesisState& state) {
  models::save_tensors(folder / kState, {{"images", state.images},
                                         {"first", state.first},
                                         {"second", state.second},
                                         {"iterations", at::tensor(state.iterations, at::kLong)}});
}

// Images and optimiser go on from the checkpoint; labels and target follow from the seed.
bool load_state(const std::filesystem::path& folder, SynthesisState& state) {
  const std::filesystem::path file = folder / kState;
  if (!std::filesystem::exists(file)) return false;
  const models::TensorMap tensors = models::load_tensors(file);
  const std::array<std::pair<const char*, at::Tensor*>, 3> parts{
      {{"images", &state.images}, {"first", &state.first}, {"second", &state.second}}};
  for (const auto& [name, slot] : parts) {
    const auto found = tensors.find(name);
    if (found == tensors.end() || found->second.sizes() != slot->sizes()) {
      throw Error(ErrorKind::kData,
                  fmt::format("{}: '{}' is missing or has another shape", file.string(), name));
    }
    *slot = found->second.to(slot->options());
  }
  state.iterations = tensors.at("iterations").item<std::int64_t>();
  return true;
}

void report(StageContext& context, const Losses& losses, std::int64_t iteration) {
  context.metric("loss_total", losses.total, iteration);
  context.metric("loss_ce", losses.cross_entropy, iteration);
  context.metric("loss_tv", losses.variation, iteration);
  context.metric("loss_pse", losses.entropy, iteration);
}

Json synthesize(StageContext& context, const quant::ModelLoader& loader) {
  const quant::MethodNetwork loaded = loader(context);
  require_gradients(loaded.tap->passive());
  models::Network* network = loaded.network.get();
  quant::widen(*network);
  auto options = options_from<SynthesizeOptions>(context);
  options.seed = seed_of(context);
  const Synthesizer synthesizer(*network, options);
  SynthesisState state = synthesizer.start();
  load_state(context.resume_dir(), state);
  while (state.iterations < synthesizer.total_iterations()) {
    const Losses losses = synthesizer.step(state);
    const std::int64_t done = state.iterations;
    if ((done - 1) % kCheckpointEvery == 0 || done == synthesizer.total_iterations())
      report(context, losses, done - 1);
    const bool stopping = context.stop_requested();
    if (done % kCheckpointEvery == 0 || stopping) {
      save_state(context.resume_dir(), state);
      context.checkpoint(done);
    }
    if (stopping && done < synthesizer.total_iterations()) {
      throw Error(ErrorKind::kLost, fmt::format("stopped after {} of {} iterations", done,
                                                synthesizer.total_iterations()));
    }
    context.progress(done, synthesizer.total_iterations(), "iterations");
  }
  const Losses final_losses = synthesizer.losses(state.images, state, nullptr);
  models::save_tensors(context.output() / kImages,
                       {{"images", state.images}, {"labels", state.labels}});
  return {{"metrics",
           {{"pse_final", -final_losses.entropy},
            {"ce_final", final_losses.cross_entropy},
            {"tv_final", final_losses.tv},
            {"tv_target", state.tv_target},
            {"similarity_std", synthesizer.similarity_deviation(state.images)}}}};
}

Json observe(StageContext& context, const quant::ModelLoader& loader) {
  const at::NoGradGuard no_gradients;
  const quant::MethodNetwork loaded = loader(context);
  models::Network* network = loaded.network.get();
  quant::widen(*network);
  const quant::Ranges ranges = quant::observe(
      *network, {quant::calibration_inputs(context, *network), quant::kImageChunk},
      network->sites(), {},
      [&](std::int64_t done, std::int64_t total) {
        context.progress(done, total, "chunks");
        quant::require_running(context);
      },
      loaded.tap.get());
  write_file_atomically(context.output() / kRanges, to_json(ranges).dump(1) + "\n");
  return {{"metrics", {{"sites", ranges.size()}}}};
}

Json quantize(StageContext& context, const quant::ModelLoader& loader) {
  const at::NoGradGuard no_gradients;
  const auto options = options_from<QuantizeOptions>(context);
  quant::Ranges ranges;
  if (options.activation_bits != kFloatBits) {
    const std::filesystem::path file = context.input("ranges") / kRanges;
    ranges = quant::ranges_from(parse_json(read_file(file), file.string()), file.string());
  }
  const quant::MethodNetwork loaded = loader(context);
  quant::widen(*loaded.network);
  const quant::QuantizedModel model =
      p1_model(*loaded.network, ranges, options.weight_bits, options.activation_bits);
  save_quantized(context.output(), model);
  return quantization_result(*loaded.network, loaded.before, model);
}

Rounding rounds(const StageContext& context) {
  const auto options = options_from<QuantizeOptions>(context);
  return {.weights = options.weight_bits != kFloatBits,
          .activations = options.activation_bits != kFloatBits,
          .bits = {.weights = options.weight_bits, .activations = options.activation_bits}};
}

void check_synthesis(const PlannedStage& stage) {
  check_network(stage.network, options_from<SynthesizeOptions>(stage.context).imagenet_clip);
  require_gradients(!stage.before.activations.value_or(false));
}

void check_quantize(const PlannedStage& stage) {
  // Protocol P1 rounds as a symmetric grid does at 1 bit: ties to even leave 0 alone.
  quant::require_levels("w_bits", options_from<QuantizeOptions>(stage.context).weight_bits, true,
                        quant::Symmetry::kFixed);
  check_network(stage.network, false);
}

}  // namespace

quant::QuantizedModel p1_model(const models::Network& network, const quant::Ranges& ranges,
                               int weight_bits, int activation_bits) {
  quant::QuantizedModel model{.method = "psaq_vit"};
  if (weight_bits != kFloatBits) {
    for (const models::Layer& layer : network.layers()) {
      const at::Tensor weight = quant::as_matrix(network.parameters().at(layer.name + ".weight"));
      model.layers.emplace(layer.name, quant::in_layer(layer.name, [&] {
                             return quant::quantized_layer(
                                 weight, quant::p1_weight_grid(weight, weight_bits));
                           }));
    }
  }
  if (activation_bits == kFloatBits) return model;
  for (const std::string& site : network.sites()) {
    const auto range = ranges.find(site);
    if (range == ranges.end()) {
      throw Error(ErrorKind::kData, fmt::format("the calibrated ranges lack site '{}'", site),
                  {{"site", site}});
    }
    model.activations.emplace(
        site, quant::p1_quantizer(range->second, activation_bits, quant::dtype_of(network)));
  }
  return model;
}

}  // namespace assay::psaq_vit

namespace assay {

Method psaq_vit_method() {
  using namespace psaq_vit;
  return {
      .declaration = {.name = "psaq_vit",
                      .title = "PSAQ-ViT: data-free calibration by patch-similarity entropy",
                      .paper = "Li, Ma, Chen, Xiao, Gu, ECCV 2022, arXiv 2203.02250",
                      .families = {"vit"},
                      .parameters = schemas_of<SynthesizeOptions>(),
                      .reads_bits = true,
                      .calibration = "none",
                      .traits = {"quantizer"},
                      .network = "psaq_vit.quantize",
                      .values = quant::network_values()},
      .stages = {{.declaration = {.name = "psaq_vit.synthesize",
                                  .revision = 2,
                                  .reads = names_of<SynthesizeOptions>(),
                                  .reads_model = true,
                                  .reads_network = true,
                                  .random = "seed"},
                  .run = synthesize,
                  .check = check_synthesis},
                 {.declaration = {.name = "psaq_vit.observe",
                                  .revision = 2,
                                  .reads_model = true,
                                  .reads_network = true,
                                  .inputs = {{.name = "images", .stage = "psaq_vit.synthesize"}}},
                  .run = observe,
                  .check = [](const PlannedStage& stage) { check_network(stage.network, false); }},
                 {.declaration = {.name = "psaq_vit.quantize",
                                  .revision = 4,
                                  .reads = names_of<QuantizeOptions>(),
                                  .reads_model = true,
                                  .reads_network = true,
                                  .inputs = {{.name = "ranges",
                                              .stage = "psaq_vit.observe",
                                              .when = "quantizes_activations"}}},
                  .run = quantize,
                  .check = check_quantize,
                  .rounds = rounds}},
      .canary = canary};
}

}  // namespace assay
