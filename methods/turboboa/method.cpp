#include "methods/turboboa/method.h"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>

#include "harness/base/error.h"
#include "harness/contract/declared_options.h"
#include "methods/quant/stage_inputs.h"
#include "methods/weights_only.h"

namespace assay::turboboa {
namespace {

// Of turboboa.quantize.
struct QuantizeOptions {
  ModelOptions model;
  bool upstream = true;
  double alpha = 0.25;
  bool refine_scale = true;
  std::int64_t sweeps = 1;
  int activation_bits = kFloatBits;

  void visit(OptionVisitor& option) {
    visit_rows(option);
    visit_moments(option);
    option.bits(model.layer.bits, "w_bits");
    option.bits(activation_bits, "a_bits");
  }

 private:
  void visit_rows(OptionVisitor& option) {
    quant::TwoSidedOptions& layer = model.layer;
    option(layer.rows_per_step, {.name = "rows_per_step",
                                 .unit = "rows",
                                 .minimum = 1,
                                 .doc = "Rows of a head that are rounded at a time."});
    option(layer.grid, {.name = "grid",
                        .choices = {"minmax", "mse", "hessian"},
                        .doc = "Search of the grid's range; the paper uses hessian."});
    option(layer.adaptive_grid,
           {.name = "adaptive_grid",
            .doc = "Grids of rows from the weights that earlier rows left (the release, always)."});
    option(layer.group, {.name = "group",
                         .unit = "columns",
                         .minimum = -1,
                         .doc = "Input columns per grid; -1: one grid a row."});
    option(refine_scale, {.name = "refine_scale",
                          .doc = "Coordinate descent over the scales once all codes are fixed.",
                          .when = "group=-1"});
    option(sweeps, {.name = "sweeps",
                    .unit = "sweeps",
                    .minimum = 1,
                    .maximum = 1000,
                    .doc = "Passes of that descent over all rows.",
                    .when = "refine_scale=true"});
    option(layer.act_order_columns,
           {.name = "act_order_col",
            .doc = "Columns in descending order of the column moments' diagonal.",
            .when = "group=-1"});
    option(layer.act_order_rows,
           {.name = "act_order_row",
            .doc = "Rows of a head in descending order of the row moments' diagonal."});
    option(layer.symmetric,
           {.name = "symmetric", .doc = "Zero points in the middle of the range."});
  }

  void visit_moments(OptionVisitor& option) {
    option(upstream, {.name = "upstream",
                      .doc = "Aims at the outputs of the float network on its own inputs; a second "
                             "pass of every block with them."});
    option(alpha, {.name = "alpha",
                   .minimum = 0,
                   .maximum = 1,
                   .doc = "Weight of the inputs' error; the paper tries 0.05, 0.125 and 0.25.",
                   .when = "upstream=true"});
    option(model.value_columns,
           {.name = "block_v",
            .doc = "Moments of v behind the attention probabilities, one matrix a head."});
    option(model.layer.damping,
           {.name = "damping",
            .minimum = 0,
            .maximum = 10,
            .doc = "Part of the mean diagonal added to the diagonal of the moments of columns and "
                   "rows."});
    option(model.layer.dead_value,
           {.name = "dead_value",
            .minimum = 0,
            .doc = "Diagonal moment given to inputs that are always 0; 0: 1 / tokens of a "
                   "calibration sequence."});
  }
};

// Throws Error for values that fit their schemas and are not offered all the same.
QuantizeOptions options_of(const StageContext& context) {
  auto options = options_from<QuantizeOptions>(context);
  quant::TwoSidedOptions& layer = options.model.layer;
  if (layer.group == 0) {
    throw Error(ErrorKind::kConfig, "group = 0: expected -1 (whole rows) or at least 1 column");
  }
  const bool whole_rows = layer.group < 0;
  layer.act_order_columns = layer.act_order_columns && whole_rows;
  layer.refine_sweeps = options.refine_scale && whole_rows ? options.sweeps : 0;
  layer.alpha = options.upstream ? options.alpha : 0;
  return options;
}

Json quantize(StageContext& context, const quant::ModelLoader& loader) {
  const at::NoGradGuard no_gradients;
  const QuantizeOptions asked = options_of(context);
  quant::MethodNetwork loaded = loader(context);
  require_rounded_activations("turboboa", asked.model.layer.bits, asked.activation_bits,
                              !loaded.tap->passive());
  quant::LayersQuantizer quantizer;
  if (asked.model.layer.bits != kFloatBits) {
    quantizer = quant::two_sided_quantizer(*loaded.network, asked.model.layer, false);
  }
  return quant::run_block_walk(
      context, loaded, quantizer,
      {.method = "turboboa", .sequential = sequential_options(asked.model)});
}

void check(const PlannedStage& stage) {
  const QuantizeOptions options = options_of(stage.context);
  quant::require_levels("w_bits", options.model.layer.bits, options.model.layer.symmetric);
  if (stage.before.activations) {
    require_rounded_activations("turboboa", options.model.layer.bits, options.activation_bits,
                                *stage.before.activations);
  }
}

}  // namespace

quant::SequentialOptions sequential_options(const ModelOptions& options) {
  return {.unit = quant::MomentUnit::kToken,
          .attention_rows = true,
          .attention_values = options.value_columns,
          .upstream = options.layer.alpha > 0};
}

}  // namespace assay::turboboa

namespace assay {

Method turboboa_method() {
  using namespace turboboa;
  std::vector<ParameterSchema> parameters = schemas_of<QuantizeOptions>();
  const std::vector<ParameterSchema> calibration = quant::calibration_parameters(128);
  parameters.insert(parameters.end(), calibration.begin(), calibration.end());
  return {.declaration = {.name = "turboboa",
                          .title = "TurboBoA: BoA for several rows at a time",
                          .paper = "Kim et al., ICLR 2026, arXiv 2602.04929",
                          .families = {"opt", "llama"},
                          .parameters = std::move(parameters),
                          .reads_bits = true,
                          .calibration = "calibration",
                          .traits = {"quantizer"},
                          .switches = {"adaptive_grid", "refine_scale", "upstream", "block_v",
                                       "act_order_col", "act_order_row"},
                          .network = "turboboa.quantize",
                          .values = quant::network_values()},
          .stages = {{.declaration = {.name = "turboboa.quantize",
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
