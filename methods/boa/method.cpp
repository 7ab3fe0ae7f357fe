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
    visit_two_sided(option, model.layer);
    visit_block_v(option, model.value_columns);
    option(model.value_rows,
           {.name = "v_row_hessian",
            .doc = "Rows of v coupled by the output projection (equation 9 of the paper; the "
                   "release leaves it out)."});
    visit_two_sided_moments(option, model.layer);
    visit_propagate(option, propagate);
    option.bits(model.layer.bits, "w_bits");
    option.bits(activation_bits, "a_bits");
  }

  void settle() { require_group(model.layer.group); }

  WeightsOnly asked() const {
    WeightsOnly asked{.method = "boa",
                      .weight_bits = model.layer.bits,
                      .activation_bits = activation_bits,
                      .symmetric = model.layer.symmetric,
                      .sequential = sequential_options(model)};
    asked.sequential.propagate = propagate;
    return asked;
  }

  quant::BlockQuantizer quantizer(models::Network& network, StageContext&) const {
    return quant::two_sided_quantizer(network, model.layer, model.value_rows);
  }
};

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
      weights_only_stage<QuantizeOptions>(3), canary);
}

}  // namespace assay
