#include "methods/gptq/method.h"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>

#include "harness/base/error.h"
#include "harness/contract/declared_options.h"
#include "methods/quant/block_walk.h"
#include "methods/quant/in_layer.h"
#include "methods/quant/stage_inputs.h"
#include "methods/weights_only.h"

namespace assay::gptq {
namespace {

// Of gptq.quantize.
struct QuantizeOptions {
  Options layer;
  quant::MomentUnit unit = quant::MomentUnit::kSequence;
  bool true_sequential = false;
  quant::Propagation propagate = quant::Propagation::kQuantized;
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
            .doc = "Moments collected anew after each group of layers that share an input.",
            .when = "propagate=quantized"});
    option(propagate,
           {.name = "propagate",
            .doc = "Blocks that produce the inputs a block's moments see: as they were quantized "
                   "(the release), or as they were."});
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
  return options;
}

Json quantize(StageContext& context, const quant::ModelLoader& loader) {
  const at::NoGradGuard no_gradients;
  const QuantizeOptions asked = options_of(context);
  quant::MethodNetwork loaded = loader(context);
  require_rounded_activations("gptq", asked.layer.bits, asked.activation_bits,
                              !loaded.tap->passive());
  quant::LayersQuantizer quantizer;
  if (asked.layer.bits != kFloatBits) quantizer = layers_quantizer(*loaded.network, asked.layer);
  return quant::run_block_walk(context, loaded, quantizer,
                               {.method = "gptq",
                                .sequential = {.unit = asked.unit,
                                               .propagate = asked.propagate,
                                               .true_sequential = asked.true_sequential}});
}

void check(const PlannedStage& stage) {
  const QuantizeOptions options = options_of(stage.context);
  quant::require_levels("w_bits", options.layer.bits, options.layer.symmetric);
  quant::require_linear_units(stage.network);
  if (stage.before.activations) {
    require_rounded_activations("gptq", options.layer.bits, options.activation_bits,
                                *stage.before.activations);
  }
}

}  // namespace

quant::LayersQuantizer layers_quantizer(const models::Network& network, const Options& options) {
  return [&network, options](const std::vector<quant::LayerMoments>& layers) {
    std::map<std::string, quant::LayerResult> results;
    for (const quant::LayerMoments& each : layers) {
      const std::string& name = each.layer.name;
      results[name] = quant::in_layer(name, [&] {
        return quantize_layer(network.parameters().at(name + ".weight"), each.column, options,
                              name);
      });
    }
    return results;
  };
}

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
                  .rounds = rounds_weights}},
      .canary = canary};
}

}  // namespace assay
