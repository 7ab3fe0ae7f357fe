#include "methods/turboboa/method.h"

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
    visit_group(option, layer.group);
    option(refine_scale, {.name = "refine_scale",
                          .doc = "Coordinate descent over the scales once all codes are fixed.",
                          .when = "group=-1"});
    option(sweeps, {.name = "sweeps",
                    .unit = "sweeps",
                    .minimum = 1,
                    .maximum = 1000,
                    .doc = "Passes of that descent over all rows.",
                    .when = "group=-1,refine_scale=true"});
    option(layer.act_order_columns,
           {.name = "act_order_col",
            .doc = "Columns in descending order of the column moments' diagonal.",
            .when = "group=-1"});
    option(layer.act_order_rows,
           {.name = "act_order_row",
            .doc = "Rows of a head in descending order of the row moments' diagonal."});
    visit_symmetric(option, layer.symmetric);
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
    visit_block_v(option, model.value_columns);
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
  require_group(layer.group);
  const bool whole_rows = layer.group < 0;
  layer.act_order_columns = layer.act_order_columns && whole_rows;
  layer.refine_sweeps = options.refine_scale && whole_rows ? options.sweeps : 0;
  layer.alpha = options.upstream ? options.alpha : 0;
  return options;
}

WeightsOnly asked_by(const QuantizeOptions& options) {
  return {.method = "turboboa",
          .weight_bits = options.model.layer.bits,
          .activation_bits = options.activation_bits,
          .symmetric = options.model.layer.symmetric,
          .sequential = sequential_options(options.model)};
}

Json quantize(StageContext& context, const quant::ModelLoader& loader) {
  const QuantizeOptions options = options_of(context);
  return run_weights_only(context, loader, asked_by(options), [&](const models::Network& network) {
    return quant::two_sided_quantizer(network, options.model.layer, false);
  });
}

void check(const PlannedStage& stage) {
  check_weights_only(stage, asked_by(options_of(stage.context)));
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
  return weights_only_method<QuantizeOptions>(
      {.name = "turboboa",
       .title = "TurboBoA: BoA for several rows at a time",
       .paper = "Kim et al., ICLR 2026, arXiv 2602.04929",
       .families = {"opt", "llama"},
       .switches = {"adaptive_grid", "refine_scale", "upstream", "block_v", "act_order_col",
                    "act_order_row"}},
      {.declaration = {.revision = 1}, .run = quantize, .check = check}, canary);
}

}  // namespace assay
