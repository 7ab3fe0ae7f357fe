#include "methods/boa/method.h"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>

#include "harness/base/error.h"
#include "harness/contract/declared_options.h"
#include "methods/quant/stage_inputs.h"
#include "methods/weights_only.h"

namespace assay::boa {
namespace {

// Of boa.quantize.
struct QuantizeOptions {
  ModelOptions model;
  quant::Propagation propagate = quant::Propagation::kQuantized;
  int activation_bits = kFloatBits;

  void visit(OptionVisitor& option) {
    quant::TwoSidedOptions& layer = model.layer;
    option(layer.grid, {.name = "grid",
                        .choices = {"minmax", "mse", "hessian"},
                        .doc = "Search of the grid's range; the paper uses hessian."});
    option(layer.group, {.name = "group",
                         .unit = "columns",
                         .minimum = -1,
                         .doc = "Input columns per grid; -1: one grid a row."});
    option(layer.act_order_columns,
           {.name = "act_order_col",
            .doc = "Columns in descending order of the column moments' diagonal.",
            .when = "group=-1"});
    option(layer.act_order_rows,
           {.name = "act_order_row",
            .doc = "Rows of a head in descending order of the row moments' diagonal."});
    option(model.value_columns,
           {.name = "block_v",
            .doc = "Moments of v behind the attention probabilities, one matrix a head."});
    option(model.value_rows,
           {.name = "v_row_hessian",
            .doc = "Rows of v coupled by the output projection (equation 9 of the paper; the "
                   "release leaves it out)."});
    option(layer.symmetric,
           {.name = "symmetric", .doc = "Zero points in the middle of the range."});
    option(layer.damping, {.name = "damping",
                           .minimum = 0,
                           .maximum = 10,
                           .doc = "Part of the mean diagonal added to the diagonal of the moments "
                                  "of columns and rows."});
    option(layer.dead_value, {.name = "dead_value",
                              .minimum = 0,
                              .doc = "Diagonal moment given to inputs that are always 0; 0: 1 / "
                                     "tokens of a calibration sequence."});
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
  if (options.model.layer.group == 0) {
    throw Error(ErrorKind::kConfig, "group = 0: expected -1 (whole rows) or at least 1 column");
  }
  return options;
}

Json quantize(StageContext& context, const quant::ModelLoader& loader) {
  const at::NoGradGuard no_gradients;
  const QuantizeOptions asked = options_of(context);
  quant::MethodNetwork loaded = loader(context);
  require_rounded_activations("boa", asked.model.layer.bits, asked.activation_bits,
                              !loaded.tap->passive());
  quant::LayersQuantizer quantizer;
  if (asked.model.layer.bits != kFloatBits) {
    quantizer =
        quant::two_sided_quantizer(*loaded.network, asked.model.layer, asked.model.value_rows);
  }
  quant::SequentialOptions sequential = sequential_options(asked.model);
  sequential.propagate = asked.propagate;
  return quant::run_block_walk(context, loaded, quantizer,
                               {.method = "boa", .sequential = sequential});
}

void check(const PlannedStage& stage) {
  const QuantizeOptions options = options_of(stage.context);
  quant::require_levels("w_bits", options.model.layer.bits, options.model.layer.symmetric);
  if (stage.before.activations) {
    require_rounded_activations("boa", options.model.layer.bits, options.activation_bits,
                                *stage.before.activations);
  }
}

}  // namespace

quant::SequentialOptions sequential_options(const ModelOptions& options) {
  return {.unit = quant::MomentUnit::kToken,
          .attention_rows = true,
          .attention_values = options.value_columns};
}

}  // namespace assay::boa

namespace assay {

Method boa_method() {
  using namespace boa;
  std::vector<ParameterSchema> parameters = schemas_of<QuantizeOptions>();
  const std::vector<ParameterSchema> calibration = quant::calibration_parameters(128);
  parameters.insert(parameters.end(), calibration.begin(), calibration.end());
  return {
      .declaration = {.name = "boa",
                      .title = "BoA: second-order rounding by rows and columns of attention heads",
                      .paper = "Kim et al., ICML 2025, arXiv 2406.13474",
                      .families = {"opt", "llama"},
                      .parameters = std::move(parameters),
                      .reads_bits = true,
                      .calibration = "calibration",
                      .traits = {"quantizer"},
                      .switches = {"act_order_col", "act_order_row", "block_v", "v_row_hessian"},
                      .network = "boa.quantize",
                      .values = quant::network_values()},
      .stages = {{.declaration = {.name = "boa.quantize",
                                  .revision = 1,
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
