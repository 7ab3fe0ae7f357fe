#include "methods/psaq_vit/method.h"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>
#include <fmt/format.h>

#include <array>
#include <utility>

#include "harness/core/atomic_file.h"
#include "harness/core/error.h"
#include "harness/models/tensor_file.h"
#include "methods/psaq_vit/synthesis.h"
#include "methods/quant/grid_search.h"
#include "methods/quant/in_layer.h"

namespace assay::psaq_vit {
namespace {

constexpr std::int64_t kCheckpointEvery = 50;
constexpr const char* kState = "state.safetensors";
constexpr const char* kImages = "images.safetensors";
constexpr const char* kRanges = "ranges.json";

SynthesisOptions options_of(const StageContext& context) {
  const StageParameters parameters(context);
  return {.images = parameters.integer("images"),
          .rounds = parameters.integer("rounds"),
          .steps = parameters.integer("steps"),
          .learning_rate = parameters.real("lr"),
          .ce_weight = parameters.real("ce_weight"),
          .tv_weight = parameters.real("tv_weight"),
          .pse_weight = parameters.real("pse_weight"),
          .flip = parameters.real("flip"),
          .imagenet_clip = parameters.text("clip_stats") == "imagenet",
          .kde = {.points = parameters.integer("kde_points"),
                  .sigma = parameters.real("kde_sigma"),
                  .floor = parameters.real("kde_floor")},
          .seed = seed_of(context)};
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
  const Synthesizer synthesizer(*network, options_of(context));
  SynthesisState state = synthesizer.start();
  load_state(context.resume_dir(), state);
  while (state.iterations < synthesizer.total_iterations()) {
    const Losses losses = synthesizer.step(state);
    const std::int64_t done = state.iterations;
    if ((done - 1) % kCheckpointEvery == 0) report(context, losses, done - 1);
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
      *network, quant::calibration_inputs(context, *network), quant::kImageChunk, network->sites(),
      {}, [&](std::int64_t done, std::int64_t total) { context.progress(done, total, "chunks"); },
      loaded.tap.get());
  write_file_atomically(context.output() / kRanges, to_json(ranges).dump(1) + "\n");
  return {{"metrics", {{"sites", ranges.size()}}}};
}

Json quantize(StageContext& context, const quant::ModelLoader& loader) {
  const at::NoGradGuard no_gradients;
  const StageParameters parameters(context);
  const int weight_bits = parameters.bits("w_bits"), activation_bits = parameters.bits("a_bits");
  quant::Ranges ranges;
  if (activation_bits != kFloatBits) {
    const std::filesystem::path file = context.input("ranges") / kRanges;
    ranges = quant::ranges_from(parse_json(read_file(file), file.string()), file.string());
  }
  const quant::MethodNetwork loaded = loader(context);
  quant::widen(*loaded.network);
  const quant::QuantizedModel model =
      p1_model(*loaded.network, ranges, weight_bits, activation_bits);
  save_quantized(context.output(), model);
  return quantization_result(*loaded.network, loaded.before, model);
}

ParameterSchema real(const char* name, double value, double least, double most, const char* doc) {
  return {.name = name,
          .type = ParameterType::kReal,
          .default_value = value,
          .minimum = least,
          .maximum = most,
          .doc = doc};
}

ParameterSchema whole(const char* name, std::int64_t value, double least, double most,
                      const char* unit, const char* doc) {
  return {.name = name,
          .type = ParameterType::kInteger,
          .default_value = value,
          .unit = unit,
          .minimum = least,
          .maximum = most,
          .doc = doc};
}

}  // namespace

bool rounds_activations(const StageContext& context) {
  return StageParameters(context).bits("a_bits") != kFloatBits;
}

void require_gradients(bool has_gradients) {
  if (has_gradients) return;
  throw Error(ErrorKind::kUnsupported,
              "psaq_vit makes its images by gradients, and the activation quantizers of the "
              "methods before it have none; put psaq_vit before them");
}

void check(const StageContext& context, const models::Network& network) {
  const StageParameters parameters(context);
  // Protocol P1 rounds as a symmetric grid does at 1 bit: ties to even leave 0 alone.
  if (parameters.has("w_bits")) {
    quant::require_levels("w_bits", parameters.bits("w_bits"), true);
  }
  check_network(network,
                parameters.has("clip_stats") && parameters.text("clip_stats") == "imagenet");
}

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

MethodDeclaration declaration() {
  return {.name = "psaq_vit",
          .title = "PSAQ-ViT: data-free calibration by patch-similarity entropy",
          .paper = "Li, Ma, Chen, Xiao, Gu, ECCV 2022, arXiv 2203.02250",
          .families = {"vit"},
          .parameters = {whole("images", 32, 1, 4096, "images", "Synthetic images, one batch."),
                         whole("rounds", 2, 1, 100, "", "Rounds; the schedule restarts in each."),
                         whole("steps", 500, 5, 1e6, "iterations", "Iterations a round."),
                         real("lr", 0.2, 1e-6, 100, "Peak learning rate of Adam."),
                         real("ce_weight", 1, 0, 1e6, "Weight of the cross-entropy."),
                         real("tv_weight", 0.05, 0, 1e6, "Weight of the total variation."),
                         real("pse_weight", 1, 0, 1e6, "Weight of the patch-similarity entropy."),
                         real("flip", 0.5, 0, 1, "Probability of mirroring the batch."),
                         whole("kde_points", 10, 2, 1000, "", "Points of the density estimate."),
                         real("kde_sigma", 0.01, 1e-6, 10, "Bandwidth of the density estimate."),
                         real("kde_floor", 1e-4, 1e-12, 1, "Added to each density."),
                         {.name = "clip_stats",
                          .type = ParameterType::kString,
                          .default_value = "model",
                          .choices = {"model", "imagenet"},
                          .doc = "Statistics that bound the images; imagenet: as the release."}},
          .reads_bits = true,
          .calibration = "none",
          .traits = {"quantizer"},
          .network = "psaq_vit.quantize",
          .values = quant::network_values()};
}

std::vector<StageImplementation> stages(const quant::ModelLoader& loader) {
  const StageDeclaration synthesizing{
      .name = "psaq_vit.synthesize",
      .revision = 2,
      .reads = {"images", "rounds", "steps", "lr", "ce_weight", "tv_weight", "pse_weight", "flip",
                "kde_points", "kde_sigma", "kde_floor", "clip_stats"},
      .reads_model = true,
      .reads_network = true,
      .random = "seed"};
  const StageDeclaration observing{.name = "psaq_vit.observe",
                                   .revision = 2,
                                   .reads_model = true,
                                   .reads_network = true,
                                   .inputs = {{.name = "images", .stage = "psaq_vit.synthesize"}}};
  const StageDeclaration quantizing{
      .name = "psaq_vit.quantize",
      .revision = 4,
      .reads = {"w_bits", "a_bits"},
      .reads_model = true,
      .reads_network = true,
      .inputs = {{.name = "ranges", .stage = "psaq_vit.observe", .when = "quantizes_activations"}}};
  return {{synthesizing, [loader](StageContext& context) { return synthesize(context, loader); }},
          {observing, [loader](StageContext& context) { return observe(context, loader); }},
          {quantizing, [loader](StageContext& context) { return quantize(context, loader); }}};
}

}  // namespace assay::psaq_vit
