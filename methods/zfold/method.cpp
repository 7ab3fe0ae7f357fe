#include "methods/zfold/method.h"

#include "methods/weights_only.h"

namespace assay::zfold {
namespace {

// Of zfold.quantize.
struct QuantizeOptions {
  Options layers;
  quant::Propagation propagate = quant::Propagation::kQuantized;
  int activation_bits = kFloatBits;

  void visit(OptionVisitor& option) {
    visit_zfold(option, layers.zfold, layers.zfold_rounds);
    option(layers.hessian,
           {.name = "hessian",
            .doc = "Ranges of grids searched by the moments of the inputs; false: min-max."});
    option(layers.act_order,
           {.name = "act_order", .doc = "Columns in descending order of the moments' diagonal."});
    visit_symmetric(option, layers.symmetric);
    visit_moments(option, layers.damping, layers.dead_value, ", a sequence");
    visit_propagate(option, propagate);
    option.bits(layers.bits, "w_bits");
    option.bits(activation_bits, "a_bits");
  }

  WeightsOnly asked() const {
    return {.method = "zfold",
            .weight_bits = layers.bits,
            .activation_bits = activation_bits,
            .symmetric = layers.symmetric,
            .sequential = {.unit = quant::MomentUnit::kSequence, .propagate = propagate}};
  }

  quant::BlockQuantizer quantizer(models::Network& network, StageContext&) const {
    return [&network, this](const std::vector<quant::LayerMoments>& moments) {
      return quantize_layers(network, moments, layers);
    };
  }
};

}  // namespace
}  // namespace assay::zfold

namespace assay {

Method zfold_method() {
  using namespace zfold;
  return weights_only_method<QuantizeOptions>(
      {.name = "zfold",
       .title = "Z-Fold: GPTQ on grids with a factor of the column",
       .paper = "Jeon et al., EMNLP 2023",
       .families = {"opt", "llama"},
       .switches = {"zfold", "hessian", "act_order"}},
      weights_only_stage<QuantizeOptions>(3), canary);
}

}  // namespace assay
