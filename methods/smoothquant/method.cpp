#include "methods/smoothquant/method.h"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>
#include <fmt/format.h>

#include "harness/base/error.h"
#include "harness/contract/declared_options.h"
#include "harness/models/tensor_file.h"
#include "methods/quant/finished_layers.h"
#include "methods/quant/float_network.h"
#include "methods/quant/stage_inputs.h"

namespace assay::smoothquant {
namespace {

constexpr const char* kMaxima = "maxima.safetensors";

// Of smoothquant.quantize.
struct QuantizeOptions {
  Options smoothing;
  std::string part = "both";

  void visit(OptionVisitor& option) {
    option(smoothing.alpha, {.name = "alpha",
                             .minimum = 0,
                             .maximum = 1,
                             .doc = "How much of the outliers moves into the weights; published: "
                                    "0.5 for OPT, 0.85 for Llama 2 and 3, 0.8 for Mistral."});
    option(part, {.name = "quantize",
                  .choices = {"both", "weights", "activations", "none"},
                  .doc = "What is rounded after smoothing; the other half of the bits is left to "
                         "the next method of a composition (`smoothquant + gptq`)."});
    option(smoothing.weights, {.name = "weights",
                               .choices = {"channel", "tensor"},
                               .doc = "What shares a scale of a weight.",
                               .when = "quantizes_weights,quantize!=activations,quantize!=none"});
    option(smoothing.scheme,
           {.name = "act",
            .doc = "Range of activations: of each token, of the current tensor, or calibrated. The "
                   "levels O1, O2 and O3 are token, tensor_dynamic and tensor_static.",
            .when = "quantizes_activations,quantize!=weights,quantize!=none"});
    option(smoothing.quantize_bmm,
           {.name = "quantize_bmm",
            .doc = "Outputs of q, k and v are rounded too.",
            .when = "quantizes_activations,quantize!=weights,quantize!=none"});
    option.bits(smoothing.weight_bits, "w_bits");
    option.bits(smoothing.activation_bits, "a_bits");
  }
};

// With the half that is left to the next method as float.
Options smoothing_options(const StageContext& context) {
  auto options = options_from<QuantizeOptions>(context);
  const bool weights = options.part == "both" || options.part == "weights";
  const bool activations = options.part == "both" || options.part == "activations";
  if (!weights) options.smoothing.weight_bits = kFloatBits;
  if (!activations) options.smoothing.activation_bits = kFloatBits;
  return options.smoothing;
}

Json observe(StageContext& context, const quant::ModelLoader& loader) {
  const at::NoGradGuard no_gradients;
  const quant::MethodNetwork loaded = loader(context);
  quant::widen(*loaded.network);
  const Maxima maxima =
      channel_maxima(*loaded.network, quant::calibration_inputs(context, *loaded.network),
                     *loaded.tap, [&](std::int64_t done, std::int64_t total) {
                       context.progress(done, total, "chunks");
                       quant::require_running(context);
                     });
  models::save_tensors(context.output() / kMaxima, {maxima.begin(), maxima.end()});
  return {{"metrics", {{"sites", maxima.size()}}}};
}

Maxima maxima_from(const StageContext& context, const models::Network& network) {
  const std::filesystem::path file = context.input("maxima") / kMaxima;
  const models::TensorMap tensors = models::load_tensors(file);
  Maxima maxima;
  for (const std::string& site : observed_sites(network)) {
    const auto found = tensors.find(site);
    if (found == tensors.end()) {
      throw Error(ErrorKind::kData, fmt::format("{}: site '{}' is missing", file.string(), site),
                  {{"file", file.string()}, {"site", site}});
    }
    maxima[site] = found->second.to(quant::device_of(network));
  }
  return maxima;
}

Json quantize(StageContext& context, const quant::ModelLoader& loader) {
  const at::NoGradGuard no_gradients;
  const Options options = smoothing_options(context);
  const quant::MethodNetwork loaded = loader(context);
  quant::widen(*loaded.network);
  const quant::QuantizedModel model = smooth(*loaded.network, maxima_from(context, *loaded.network),
                                             options, context.output() / quant::kScratchFolder);
  save_quantized(context.output(), model);
  return quantization_result(*loaded.network, loaded.before, model);
}

Rounding rounds(const StageContext& context) {
  const Options options = smoothing_options(context);
  const StageParameters asked(context);
  return {.weights = options.weight_bits != kFloatBits,
          .activations = options.activation_bits != kFloatBits,
          .bits = {.weights = asked.bits("w_bits"), .activations = asked.bits("a_bits")}};
}

void check(const PlannedStage& stage) {
  const Options options = smoothing_options(stage.context);
  quant::require_levels("w_bits", options.weight_bits, true, quant::Symmetry::kFixed);
  quant::require_levels("a_bits", options.activation_bits, true, quant::Symmetry::kFixed);
  quant::require_float("smoothquant", stage.before.weights.value_or(false),
                       stage.before.activations.value_or(false), "smoothquant + gptq");
  quant::require_scale_groups(stage.network);
}

}  // namespace
}  // namespace assay::smoothquant

namespace assay {

Method smoothquant_method() {
  using namespace smoothquant;
  std::vector<ParameterSchema> parameters = schemas_of<QuantizeOptions>();
  const std::vector<ParameterSchema> calibration = quant::calibration_parameters(512);
  parameters.insert(parameters.end(), calibration.begin(), calibration.end());
  return {
      .declaration = {.name = "smoothquant",
                      .title = "SmoothQuant: outliers of activations scaled into the weights",
                      .paper = "Xiao et al., ICML 2023, arXiv 2211.10438",
                      .families = {"opt", "llama"},
                      .parameters = std::move(parameters),
                      .reads_bits = true,
                      .calibration = "calibration",
                      .traits = {"quantizer"},
                      .switches = {"quantize_bmm"},
                      .network = "smoothquant.quantize",
                      .values = quant::network_values()},
      .stages = {{.declaration = {.name = "smoothquant.maxima",
                                  .revision = 1,
                                  .reads_model = true,
                                  .reads_network = true,
                                  .inputs = quant::calibration_data()},
                  .run = observe},
                 {.declaration = {.name = "smoothquant.quantize",
                                  .revision = 1,
                                  .reads = names_of<QuantizeOptions>(),
                                  .reads_model = true,
                                  .reads_network = true,
                                  .inputs = {{.name = "maxima", .stage = "smoothquant.maxima"}}},
                  .run = quantize,
                  .check = check,
                  .rounds = rounds}},
      .canary = canary};
}

}  // namespace assay
