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

  void settle() {
    quant::TwoSidedOptions& layer = model.layer;
    require_group(layer.group);
    const bool whole_rows = layer.group < 0;
    layer.act_order_columns = layer.act_order_columns && whole_rows;
    layer.refine_sweeps = refine_scale && whole_rows ? sweeps : 0;
    layer.alpha = upstream ? alpha : 0;
  }

  WeightsOnly asked() const {
    return {.method = "turboboa",
            .weight_bits = model.layer.bits,
            .activation_bits = activation_bits,
            .symmetric = model.layer.symmetric,
            .sequential = sequential_options(model)};
  }

  quant::BlockQuantizer quantizer(models::Network& network, StageContext&) const {
    return quant::two_sided_quantizer(network, model.layer, false);
  }

 private:
  void visit_rows(OptionVisitor& option) {
    quant::TwoSidedOptions& layer = model.layer;
    option(layer.rows_per_step, {.name = "rows_per_step",
                                 .unit = "rows",
                                 .minimum = 1,
                                 .doc = "Rows of a head that are rounded at a time."});
    visit_two_sided(option, layer);
    option(layer.adaptive_grid,
           {.name = "adaptive_grid",
            .doc = "Grids of rows from the weights that earlier rows left (the release, always)."});
    option(refine_scale, {.name = "refine_scale",
                          .doc = "Coordinate descent over the scales once all codes are fixed.",
                          .when = "group=-1"});
    option(sweeps, {.name = "sweeps",
                    .unit = "sweeps",
                    .minimum = 1,
                    .maximum = 1000,
                    .doc = "Passes of that descent over all rows.",
                    .when = "group=-1,refine_scale=true"});
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
    visit_two_sided_moments(option, model.layer);
  }
};

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
      weights_only_stage<QuantizeOptions>(3), canary);
}

}  // namespace assay
