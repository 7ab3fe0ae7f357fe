#include "methods/gptq/method.h"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>
#include <fmt/format.h>

#include "harness/base/atomic_file.h"
#include "harness/base/error.h"
#include "harness/contract/declared_options.h"
#include "methods/quant/sequential.h"
#include "methods/quant/stage_inputs.h"

namespace assay::gptq {
namespace {

// Of gptq.quantize.
struct QuantizeOptions {
  Options layer;
  quant::MomentUnit unit = quant::MomentUnit::kSequence;
  bool true_sequential = false;
  std::string propagate = "quantized";
  int activation_bits = kFloatBits;

  void visit(OptionVisitor& option) {
    option(layer.grid, {.name = "grid",
                        .choices = {"minmax", "mse_gptq", "mse", "hessian"},
                        .doc = "Search of the grid's range; the release uses minmax."});
    option(layer.group, {.name = "group",
                         .unit = "columns",
                         .minimum = -1,
                         .doc = "Input columns per grid; -1: one grid a row."});
    option(layer.static_groups, {.name = "static_groups",
                                 .doc = "Group grids from the weights before any update.",
                                 .when = "group!=-1"});
    option(layer.source,
           {.name = "group_grid_source",
            .doc = "Weights that a group's grid sees: at the start of the block of 128 columns "
                   "(the release) or with all updates.",
            .when = "group!=-1,static_groups=false"});
    option(layer.act_order,
           {.name = "act_order", .doc = "Columns in descending order of the moments' diagonal."});
    option(layer.symmetric,
           {.name = "symmetric", .doc = "Zero points in the middle of the range."});
    option(layer.damping,
           {.name = "damping",
            .minimum = 0,
            .maximum = 10,
            .doc = "Part of the mean diagonal added to the diagonal of the moments."});
    option(layer.dead_value,
           {.name = "dead_value",
            .minimum = 1e-12,
            .doc = "Diagonal moment given to inputs that are always 0, in units of moment_unit."});
    option(unit, {.name = "moment_unit",
                  .doc = "What the moments are averaged over; matters only with dead inputs."});
    option(true_sequential,
           {.name = "true_sequential",
            .doc = "Moments collected anew after each group of layers that share an input."});
    option(propagate, {.name = "propagate",
                       .choices = {"quantized", "float"},
                       .doc = "Inputs that a block's moments see; only `quantized` is supported."});
    option.bits(layer.bits, "w_bits");
    option.bits(activation_bits, "a_bits");
  }
};

// Throws Error for values that fit their schemas and are not offered all the same.
QuantizeOptions options_of(const StageContext& context) {
  const auto options = options_from<QuantizeOptions>(context);
  if (options.layer.group == 0) {
    throw Error(ErrorKind::kConfig, "group = 0: expected -1 (whole rows) or at least 1 column");
  }
  if (options.propagate != "quantized") {
    throw Error(
        ErrorKind::kUnsupported,
        "propagate 'float' (moments of the float network for every block) is not supported; "
        "use propagate: quantized");
  }
  return options;
}

// gptq leaves activations to the methods before it. Throws Error(kUnsupported) if the bits ask for
// rounded ones and none of them rounds.
void require_rounded_activations(const QuantizeOptions& options, bool rounded) {
  if (rounded || options.activation_bits == kFloatBits) return;
  const int weight_bits = options.layer.bits;
  const std::string weights_only =
      weight_bits == kFloatBits ? "" : fmt::format("write W{}A16, or ", weight_bits);
  throw Error(
      ErrorKind::kUnsupported,
      fmt::format("gptq quantizes weights only, and no method before it rounds activations: "
                  "a_bits = {}; {}let rtn round them first: \"rtn + gptq\" with "
                  "rtn.quantize: activations",
                  options.activation_bits, weights_only),
      {{"parameter", "a_bits"}, {"value", std::to_string(options.activation_bits)}});
}

Json quantize(StageContext& context, const quant::ModelLoader& loader) {
  const at::NoGradGuard no_gradients;
  const QuantizeOptions asked = options_of(context);
  const quant::MethodNetwork loaded = loader(context);
  require_rounded_activations(asked, !loaded.tap->passive());
  models::Network* network = loaded.network.get();
  quant::widen(*network);
  ModelResult result{.model = {.method = "gptq"}};
  if (asked.layer.bits != kFloatBits) {
    ModelOptions options{.layer = asked.layer,
                         .unit = asked.unit,
                         .true_sequential = asked.true_sequential,
                         .tap = loaded.tap.get(),
                         .checkpoints = context.resume_dir()};
    options.unit_finished = [&](std::int64_t done) {
      context.checkpoint(done);
      context.progress(done, network->unit_count(), "blocks");
      if (context.stop_requested() && done < network->unit_count()) {
        throw Error(ErrorKind::kLost,
                    fmt::format("stopped after {} of {} blocks", done, network->unit_count()));
      }
    };
    result = quantize_model(*network, quant::calibration_inputs(context, *network), options);
  }
  save_quantized(context.output(), result.model);
  write_file_atomically(context.output() / "losses.json", Json(result.losses).dump(1) + "\n");
  double loss = 0;
  for (const auto& [layer, each] : result.losses) loss += each;
  Json out = quantization_result(*network, loaded.before, result.model);
  out["metrics"]["layer_loss"] = loss;
  return out;
}

void check(const PlannedStage& stage) {
  const QuantizeOptions options = options_of(stage.context);
  quant::require_levels("w_bits", options.layer.bits, options.layer.symmetric);
  quant::require_linear_units(stage.network);
  if (stage.before.activations) require_rounded_activations(options, *stage.before.activations);
}

Rounding rounds(const StageContext& context) {
  const StageParameters asked(context);
  Rounding rounding{.weights = asked.bits("w_bits") != kFloatBits,
                    .weight_bits = asked.bits("w_bits")};
  // Its own to refuse where nothing before it rounds them.
  if (asked.bits("a_bits") != kFloatBits) rounding.activations.reset();
  return rounding;
}

}  // namespace
}  // namespace assay::gptq

namespace assay {

Method gptq_method() {
  using namespace gptq;
  std::vector<ParameterSchema> parameters = schemas_of<QuantizeOptions>();
  const std::vector<ParameterSchema> calibration = quant::calibration_parameters(128);
  parameters.insert(parameters.end(), calibration.begin(), calibration.end());
  return {
      .declaration = {.name = "gptq",
                      .title = "GPTQ: second-order rounding, column by column",
                      .paper = "Frantar, Ashkboos, Hoefler, Alistarh, ICLR 2023, arXiv 2210.17323",
                      .families = {"opt", "llama", "vit"},
                      .parameters = std::move(parameters),
                      .reads_bits = true,
                      .calibration = "calibration",
                      .traits = {"quantizer"},
                      .switches = {"act_order", "static_groups", "true_sequential"},
                      .network = "gptq.quantize",
                      .values = quant::network_values()},
      .stages = {{.declaration = {.name = "gptq.quantize",
                                  .revision = 4,
                                  .reads = names_of<QuantizeOptions>(),
                                  .reads_model = true,
                                  .reads_network = true,
                                  .inputs = quant::calibration_data("quantizes_weights")},
                  .run = quantize,
                  .check = check,
                  .rounds = rounds}},
      .canary = canary};
}

}  // namespace assay
