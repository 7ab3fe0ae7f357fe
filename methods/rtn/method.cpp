#include "methods/rtn/method.h"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>
#include <fmt/format.h>

#include "harness/core/atomic_file.h"
#include "harness/core/error.h"
#include "methods/rtn/rounding.h"

namespace assay::rtn {
namespace {

constexpr const char* kRanges = "ranges.json";

Options options_of(const StageContext& context) {
  const StageParameters parameters(context);
  return {.activation_bits = parameters.bits("a_bits"),
          .range = parameters.text("range"),
          .percentile = parameters.real("percentile"),
          .symmetric = parameters.flag("symmetric"),
          .scheme = quant::activation_scheme_from(parameters.text("act")),
          .layers = parameters.text("layers"),
          .sites = parameters.text("sites")};
}

// Those of the stage that rounds.
Options rounding_options_of(const StageContext& context) {
  const StageParameters parameters(context);
  Options options = options_of(context);
  options.weight_bits = parameters.bits("w_bits");
  const std::string part = parameters.text("quantize");
  if (part == "activations") options.weight_bits = kFloatBits;
  if (part == "weights") options.activation_bits = kFloatBits;
  options.granularity = quant::granularity_from(parameters.text("granularity"));
  options.group = parameters.integer("group");
  return options;
}

Json observe(StageContext& context, const quant::ModelLoader& loader) {
  const at::NoGradGuard no_gradients;
  const Options options = options_of(context);
  const quant::MethodNetwork loaded = loader(context);
  models::Network* network = loaded.network.get();
  quant::widen(*network);
  const quant::Ranges ranges = quant::observe(
      *network, quant::calibration_inputs(context, *network), quant::calibration_chunk(*network),
      selected_sites(*network, options), observer_options(options),
      [&](std::int64_t done, std::int64_t total) { context.progress(done, total, "chunks"); },
      loaded.tap.get());
  write_file_atomically(context.output() / kRanges, to_json(ranges).dump(1) + "\n");
  return {{"metrics", {{"sites", ranges.size()}}}};
}

Json quantize(StageContext& context, const quant::ModelLoader& loader) {
  const at::NoGradGuard no_gradients;
  const Options options = rounding_options_of(context);
  quant::Ranges ranges;
  if (options.activation_bits != kFloatBits &&
      options.scheme == quant::ActivationScheme::kTensorStatic) {
    const std::filesystem::path file = context.input("ranges") / kRanges;
    ranges = quant::ranges_from(parse_json(read_file(file), file.string()), file.string());
  }
  const quant::MethodNetwork loaded = loader(context);
  quant::widen(*loaded.network);
  const quant::QuantizedModel model = round_to_nearest(*loaded.network, options, ranges);
  save_quantized(context.output(), model);
  return quantization_result(*loaded.network, loaded.before, model);
}

}  // namespace

bool rounds_weights(const StageContext& context) {
  return rounding_options_of(context).weight_bits != kFloatBits;
}

bool rounds_activations(const StageContext& context) {
  return rounding_options_of(context).activation_bits != kFloatBits;
}

void check(const StageContext& context, const models::Network& network) {
  const bool rounds = StageParameters(context).has("w_bits");
  check(network, rounds ? rounding_options_of(context) : options_of(context));
}

MethodDeclaration declaration() {
  using enum ParameterType;
  return {
      .name = "rtn",
      .title = "Round to nearest",
      .parameters =
          {{.name = "range",
            .type = kString,
            .default_value = "minmax",
            .choices = {"minmax", "percentile", "mse"},
            .doc = "How the range of weights and of static activations is chosen."},
           {.name = "percentile",
            .type = kReal,
            .default_value = 0.9999,
            .minimum = 0.5,
            .maximum = 1,
            .doc = "Upper quantile of `range: percentile`; the lower one is 1 - percentile.",
            .when = "range=percentile"},
           {.name = "quantize",
            .type = kString,
            .default_value = "both",
            .choices = {"both", "weights", "activations"},
            .doc = "What is rounded; the other half of the bits is left to the next method of a "
                   "composition (`rtn + gptq`)."},
           {.name = "granularity",
            .type = kString,
            .default_value = "channel",
            .choices = {"tensor", "channel", "group"},
            .doc = "What shares a scale and zero point of a weight.",
            .when = "quantizes_weights,quantize!=activations"},
           {.name = "group",
            .type = kInteger,
            .default_value = 128,
            .unit = "columns",
            .minimum = 1,
            .doc = "Input columns per group of `granularity: group`.",
            .when = "granularity=group"},
           {.name = "symmetric",
            .type = kBool,
            .default_value = false,
            .doc = "Zero points in the middle of the range."},
           {.name = "act",
            .type = kString,
            .default_value = "tensor_static",
            .choices = {"tensor_static", "tensor_dynamic", "token"},
            .doc = "Range of activations: calibrated, of the current tensor, or of each token.",
            .when = "quantizes_activations,quantize!=weights"},
           {.name = "layers",
            .type = kString,
            .default_value = "auto",
            .choices = {"auto", "all", "blocks", "inner"},
            .doc = "Rounded layers: all, those of the blocks, or all but the first and last; auto: "
                   "all for classification, blocks for language models."},
           {.name = "sites",
            .type = kString,
            .default_value = "auto",
            .choices = {"auto", "network", "inputs"},
            .doc = "Quantized activations: the sites that the family names or the inputs of the "
                   "rounded layers; auto: network for classification, inputs for language models.",
            .when = "quantizes_activations,quantize!=weights"},
           {.name = "samples",
            .type = kInteger,
            .default_value = 32,
            .unit = "samples",
            .minimum = 1,
            .maximum = 100000,
            .doc = "Calibration images or token windows."},
           {.name = "context",
            .type = kInteger,
            .default_value = 0,
            .unit = "tokens",
            .minimum = 0,
            .maximum = 1 << 20,
            .doc = "Length of a calibration window; 0 takes the network's own, at most 2048."}},
      .reads_bits = true,
      .calibration = "calibration",
      .traits = {"quantizer"},
      .network = "rtn.quantize",
      .values = quant::network_values()};
}

std::vector<StageImplementation> stages(const quant::ModelLoader& loader) {
  const StageDeclaration observing{
      .name = "rtn.observe",
      .revision = 3,
      .reads = {"range", "percentile", "symmetric", "act", "layers", "sites", "a_bits"},
      .reads_model = true,
      .reads_network = true,
      .inputs = {{.name = "images",
                  .stage = "sample_images",
                  .split = "train",
                  .when = "task:classification"},
                 {.name = "tokens",
                  .stage = "sample_calibration",
                  .split = "train",
                  .when = "task:language"}}};
  const StageDeclaration quantizing{
      .name = "rtn.quantize",
      .revision = 4,
      .reads = {"range", "percentile", "quantize", "granularity", "group", "symmetric", "act",
                "layers", "sites", "w_bits", "a_bits"},
      .reads_model = true,
      .reads_network = true,
      .inputs = {{.name = "ranges",
                  .stage = "rtn.observe",
                  .when = "quantizes_activations,act=tensor_static,quantize!=weights"}}};
  return {{observing, [loader](StageContext& context) { return observe(context, loader); }},
          {quantizing, [loader](StageContext& context) { return quantize(context, loader); }}};
}

}  // namespace assay::rtn
