#include "methods/rtn/method.h"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>
#include <fmt/format.h>

#include "harness/base/atomic_file.h"
#include "harness/contract/declared_options.h"
#include "methods/quant/finished_layers.h"
#include "methods/quant/stage_inputs.h"
#include "methods/rtn/rounding.h"

namespace assay::rtn {
namespace {

constexpr const char* kRanges = "ranges.json";

void visit_range(Options& o, OptionVisitor& option) {
  option(o.range, {.name = "range",
                   .choices = {"minmax", "percentile", "mse"},
                   .doc = "How the range of weights and of static activations is chosen."});
  option(o.percentile,
         {.name = "percentile",
          .minimum = 0.5,
          .maximum = 1,
          .doc = "Upper quantile of `range: percentile`, more than 0.5; the lower one is 1 - it.",
          .when = "range=percentile"});
}

void visit_places(Options& o, OptionVisitor& option) {
  option(o.symmetric, {.name = "symmetric", .doc = "Zero points in the middle of the range."});
  option(o.scheme,
         {.name = "act",
          .doc = "Range of activations: calibrated, of the current tensor, or of each token.",
          .when = "quantizes_activations,quantize!=weights"});
  option(o.layers,
         {.name = "layers",
          .choices = {"auto", "all", "blocks", "inner"},
          .doc = "Rounded layers: all, those of the blocks, or all but the first and last; auto: "
                 "all for classification, blocks for language models."});
  option(o.sites,
         {.name = "sites",
          .choices = {"auto", "network", "inputs"},
          .doc = "Quantized activations: the sites that the family names or the inputs of the "
                 "rounded layers; auto: network for classification, inputs for language models.",
          .when = "quantizes_activations,quantize!=weights"});
  option.bits(o.activation_bits, "a_bits");
}

void visit_cache(Options& o, OptionVisitor& option) {
  option(o.cache_symmetric,
         {.name = "kv_symmetric",
          .doc = "Keys and values of attention, which have a range a head and token, with zero "
                 "points in its middle.",
          .when = "quantizes_cache,quantize!=weights"});
  option.bits(o.cache_bits, "kv_bits");
}

// Of rtn.observe.
struct ObserveOptions : Options {
  void visit(OptionVisitor& option) {
    visit_range(*this, option);
    visit_places(*this, option);
  }
};

// Of rtn.quantize.
struct QuantizeOptions : Options {
  std::string part = "both";

  void visit(OptionVisitor& option) {
    visit_range(*this, option);
    option(part, {.name = "quantize",
                  .choices = {"both", "weights", "activations"},
                  .doc = "What is rounded; the other half of the bits is left to the next method "
                         "of a composition (`rtn + gptq`)."});
    option(granularity, {.name = "granularity",
                         .doc = "What shares a scale and zero point of a weight.",
                         .when = "quantizes_weights,quantize!=activations"});
    option(group, {.name = "group",
                   .unit = "columns",
                   .minimum = 1,
                   .doc = "Input columns per group of `granularity: group`.",
                   .when = "granularity=group"});
    visit_places(*this, option);
    visit_cache(*this, option);
    option.bits(weight_bits, "w_bits");
  }
};

// With the half that is left to the next method as float.
Options rounding_options(const StageContext& context) {
  auto options = options_from<QuantizeOptions>(context);
  if (options.part == "activations") options.weight_bits = kFloatBits;
  if (options.part == "weights") options.activation_bits = options.cache_bits = kFloatBits;
  return options;
}

Json observe(StageContext& context, const quant::ModelLoader& loader) {
  const at::NoGradGuard no_gradients;
  const auto options = options_from<ObserveOptions>(context);
  const quant::MethodNetwork loaded = loader(context);
  models::Network* network = loaded.network.get();
  quant::widen(*network);
  const quant::Ranges ranges = quant::observe(
      *network, {quant::calibration_inputs(context, *network), quant::calibration_chunk(*network)},
      selected_sites(*network, options), observer_options(options),
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
  const Options options = rounding_options(context);
  quant::Ranges ranges;
  if (options.activation_bits != kFloatBits &&
      options.scheme == quant::ActivationScheme::kTensorStatic) {
    const std::filesystem::path file = context.input("ranges") / kRanges;
    ranges = quant::ranges_from(parse_json(read_file(file), file.string()), file.string());
  }
  const quant::MethodNetwork loaded = loader(context);
  quant::widen(*loaded.network);
  const quant::QuantizedModel model =
      round_to_nearest(*loaded.network, options, ranges, context.output() / quant::kScratchFolder);
  save_quantized(context.output(), model);
  return quantization_result(*loaded.network, loaded.before, model);
}

Rounding rounds(const StageContext& context) {
  const Options options = rounding_options(context);
  const StageParameters asked(context);
  return {.weights = options.weight_bits != kFloatBits,
          .activations = options.activation_bits != kFloatBits,
          .cache = options.cache_bits != kFloatBits,
          .bits = {.weights = asked.bits("w_bits"),
                   .activations = asked.bits("a_bits"),
                   .cache = asked.bits("kv_bits")}};
}

}  // namespace
}  // namespace assay::rtn

namespace assay {

Method rtn_method() {
  using namespace rtn;
  std::vector<ParameterSchema> parameters = schemas_of<QuantizeOptions>();
  const std::vector<ParameterSchema> calibration = quant::calibration_parameters(32);
  parameters.insert(parameters.end(), calibration.begin(), calibration.end());
  return {
      .declaration = {.name = "rtn",
                      .title = "Round to nearest",
                      .parameters = std::move(parameters),
                      .reads_bits = true,
                      .calibration = "calibration",
                      .traits = {"quantizer"},
                      .network = "rtn.quantize",
                      .values = quant::network_values()},
      .stages =
          {{.declaration = {.name = "rtn.observe",
                            .revision = 3,
                            .reads = names_of<ObserveOptions>(),
                            .reads_model = true,
                            .reads_network = true,
                            .inputs = quant::calibration_data()},
            .run = observe,
            .check =
                [](const PlannedStage& stage) {
                  check(stage.network, options_from<ObserveOptions>(stage.context));
                }},
           {.declaration =
                {.name = "rtn.quantize",
                 .revision = 5,
                 .reads = names_of<QuantizeOptions>(),
                 .reads_model = true,
                 .reads_network = true,
                 .inputs = {{.name = "ranges",
                             .stage = "rtn.observe",
                             .when = "quantizes_activations,act=tensor_static,quantize!=weights"}}},
            .run = quantize,
            .check =
                [](const PlannedStage& stage) {
                  check(stage.network, rounding_options(stage.context));
                },
            .rounds = rounds}},
      .canary = canary};
}

}  // namespace assay
