#include "methods/gptq/method.h"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>
#include <fmt/format.h>

#include "harness/core/atomic_file.h"
#include "harness/core/error.h"
#include "methods/quant/sequential.h"

namespace assay::gptq {
namespace {

ModelOptions options_of(const StageParameters& parameters) {
  ModelOptions options;
  options.layer = {.bits = parameters.bits("w_bits"),
                   .grid = quant::range_search_from(parameters.text("grid")),
                   .group = parameters.integer("group"),
                   .symmetric = parameters.flag("symmetric"),
                   .static_groups = parameters.flag("static_groups"),
                   .act_order = parameters.flag("act_order"),
                   .damping = parameters.real("damping"),
                   .dead_value = parameters.real("dead_value"),
                   .source = quant::group_grid_source_from(parameters.text("group_grid_source"))};
  options.unit = quant::moment_unit_from(parameters.text("moment_unit"));
  options.true_sequential = parameters.flag("true_sequential");
  if (options.layer.group == 0) {
    throw Error(ErrorKind::kConfig, "group = 0: expected -1 (whole rows) or at least 1 column");
  }
  if (parameters.text("propagate") != "quantized") {
    throw Error(
        ErrorKind::kUnsupported,
        "propagate 'float' (moments of the float network for every block) is not supported; "
        "use propagate: quantized");
  }
  return options;
}

Json quantize(StageContext& context, const quant::ModelLoader& loader) {
  const at::NoGradGuard no_gradients;
  const StageParameters parameters(context);
  ModelOptions options = options_of(parameters);
  const quant::MethodNetwork loaded = loader(context);
  require_rounded_activations(context, !loaded.tap->passive());
  models::Network* network = loaded.network.get();
  quant::widen(*network);
  ModelResult result{.model = {.method = "gptq"}};
  if (options.layer.bits != kFloatBits) {
    options.tap = loaded.tap.get();
    options.checkpoints = context.resume_dir();
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

std::vector<ParameterSchema> parameters() {
  using enum ParameterType;
  return {{.name = "grid",
           .type = kString,
           .default_value = "minmax",
           .choices = {"minmax", "mse_gptq", "mse", "hessian"},
           .doc = "Search of the grid's range; the release uses minmax."},
          {.name = "group",
           .type = kInteger,
           .default_value = -1,
           .unit = "columns",
           .minimum = -1,
           .doc = "Input columns per grid; -1: one grid a row."},
          {.name = "static_groups",
           .type = kBool,
           .default_value = false,
           .doc = "Group grids from the weights before any update.",
           .when = "group!=-1"},
          {.name = "group_grid_source",
           .type = kString,
           .default_value = "block_start",
           .choices = {"block_start", "current"},
           .doc = "Weights that a group's grid sees: at the start of the block of 128 columns (the "
                  "release) or with all updates.",
           .when = "group!=-1,static_groups=false"},
          {.name = "act_order",
           .type = kBool,
           .default_value = false,
           .doc = "Columns in descending order of the moments' diagonal."},
          {.name = "symmetric",
           .type = kBool,
           .default_value = false,
           .doc = "Zero points in the middle of the range."},
          {.name = "damping",
           .type = kReal,
           .default_value = 0.01,
           .minimum = 0,
           .maximum = 10,
           .doc = "Part of the mean diagonal added to the diagonal of the moments."},
          {.name = "dead_value",
           .type = kReal,
           .default_value = 1.0,
           .minimum = 1e-12,
           .doc = "Diagonal moment given to inputs that are always 0, in units of moment_unit."},
          {.name = "moment_unit",
           .type = kString,
           .default_value = "sequence",
           .choices = {"token", "sequence"},
           .doc = "What the moments are averaged over; matters only with dead inputs."},
          {.name = "true_sequential",
           .type = kBool,
           .default_value = false,
           .doc = "Moments collected anew after each group of layers that share an input."},
          {.name = "propagate",
           .type = kString,
           .default_value = "quantized",
           .choices = {"quantized", "float"},
           .doc = "Inputs that a block's moments see; only `quantized` is supported."},
          {.name = "samples",
           .type = kInteger,
           .default_value = 128,
           .unit = "samples",
           .minimum = 1,
           .maximum = 100000,
           .doc = "Calibration token windows or images."},
          {.name = "context",
           .type = kInteger,
           .default_value = 0,
           .unit = "tokens",
           .minimum = 0,
           .maximum = 1 << 20,
           .doc = "Length of a calibration window; 0 takes the network's own, at most 2048."}};
}

}  // namespace

void require_rounded_activations(const StageContext& context, bool rounded) {
  const StageParameters parameters(context);
  const int bits = parameters.bits("a_bits");
  if (rounded || bits == kFloatBits) return;
  const int weight_bits = parameters.bits("w_bits");
  const std::string weights_only =
      weight_bits == kFloatBits ? "" : fmt::format("write W{}A16, or ", weight_bits);
  throw Error(
      ErrorKind::kUnsupported,
      fmt::format("gptq quantizes weights only, and no method before it rounds activations: "
                  "a_bits = {}; {}let rtn round them first: \"rtn + gptq\" with "
                  "rtn.quantize: activations",
                  bits, weights_only),
      {{"parameter", "a_bits"}, {"value", std::to_string(bits)}});
}

void check(const StageContext& context, const models::Network& network) {
  const StageParameters parameters(context);
  const ModelOptions options = options_of(parameters);
  quant::require_levels("w_bits", options.layer.bits, options.layer.symmetric);
  quant::require_linear_units(network);
}

MethodDeclaration declaration() {
  return {.name = "gptq",
          .title = "GPTQ: second-order rounding, column by column",
          .paper = "Frantar, Ashkboos, Hoefler, Alistarh, ICLR 2023, arXiv 2210.17323",
          .families = {"opt", "llama", "vit"},
          .parameters = parameters(),
          .reads_bits = true,
          .calibration = "calibration",
          .traits = {"quantizer"},
          .switches = {"act_order", "static_groups", "true_sequential"},
          .network = "gptq.quantize",
          .values = quant::network_values()};
}

std::vector<StageImplementation> stages(const quant::ModelLoader& loader) {
  const StageDeclaration quantizing{
      .name = "gptq.quantize",
      .revision = 4,
      .reads = {"grid", "group", "static_groups", "group_grid_source", "act_order", "symmetric",
                "damping", "dead_value", "moment_unit", "true_sequential", "propagate", "w_bits",
                "a_bits"},
      .reads_model = true,
      .reads_network = true,
      .inputs = {{.name = "tokens",
                  .stage = "sample_calibration",
                  .split = "train",
                  .when = "task:language,quantizes_weights"},
                 {.name = "images",
                  .stage = "sample_images",
                  .split = "train",
                  .when = "task:classification,quantizes_weights"}}};
  return {{quantizing, [loader](StageContext& context) { return quantize(context, loader); }}};
}

}  // namespace assay::gptq
