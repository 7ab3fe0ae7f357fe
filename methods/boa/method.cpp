#include "methods/boa/method.h"

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
    visit_group(option, layer.group);
    option(layer.act_order_columns,
           {.name = "act_order_col",
            .doc = "Columns in descending order of the column moments' diagonal.",
            .when = "group=-1"});
    option(layer.act_order_rows,
           {.name = "act_order_row",
            .doc = "Rows of a head in descending order of the row moments' diagonal."});
    visit_block_v(option, model.value_columns);
    option(model.value_rows,
           {.name = "v_row_hessian",
            .doc = "Rows of v coupled by the output projection (equation 9 of the paper; the "
                   "release leaves it out)."});
    visit_symmetric(option, layer.symmetric);
    option(layer.damping, {.name = "damping",
                           .minimum = 0,
                           .maximum = 10,
                           .doc = "Part of the mean diagonal added to the diagonal of the moments "
                                  "of columns and rows."});
    option(layer.dead_value, {.name = "dead_value",
                              .minimum = 0,
                              .doc = "Diagonal moment given to inputs that are always 0; 0: 1 / "
                                     "tokens of a calibration sequence."});
    visit_propagate(option, propagate);
    option.bits(layer.bits, "w_bits");
    option.bits(activation_bits, "a_bits");
  }
};

// Throws Error for values that fit their schemas and are not offered all the same.
QuantizeOptions options_of(const StageContext& context) {
  const auto options = options_from<QuantizeOptions>(context);
  require_group(options.model.layer.group);
  return options;
}

WeightsOnly asked_by(const QuantizeOptions& options) {
  WeightsOnly asked{.method = "boa",
                    .weight_bits = options.model.layer.bits,
                    .activation_bits = options.activation_bits,
                    .symmetric = options.model.layer.symmetric,
                    .sequential = sequential_options(options.model)};
  asked.sequential.propagate = options.propagate;
  return asked;
}

Json quantize(StageContext& context, const quant::ModelLoader& loader) {
  const QuantizeOptions options = options_of(context);
  return run_weights_only(context, loader, asked_by(options), [&](const models::Network& network) {
    return quant::two_sided_quantizer(network, options.model.layer, options.model.value_rows);
  });
}

void check(const PlannedStage& stage) {
  check_weights_only(stage, asked_by(options_of(stage.context)));
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
  return weights_only_method<QuantizeOptions>(
      {.name = "boa",
       .title = "BoA: second-order rounding by rows and columns of attention heads",
       .paper = "Kim et al., ICML 2025, arXiv 2406.13474",
       .families = {"opt", "llama"},
       .switches = {"act_order_col", "act_order_row", "block_v", "v_row_hessian"}},
      {.declaration = {.revision = 1}, .run = quantize, .check = check}, canary);
}

}  // namespace assay
