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
    option(layers.zfold, {.name = "zfold",
                          .doc = "A factor of the column in the scales of layers that allow it."});
    option(layers.zfold_rounds, {.name = "zfold_rounds",
                                 .unit = "rounds",
                                 .minimum = 1,
                                 .maximum = 1000,
                                 .doc = "The most alternations between factors and grids.",
                                 .when = "zfold=true"});
    option(layers.hessian,
           {.name = "hessian",
            .doc = "Ranges of grids searched by the moments of the inputs; false: min-max."});
    option(layers.act_order,
           {.name = "act_order", .doc = "Columns in descending order of the moments' diagonal."});
    visit_symmetric(option, layers.symmetric);
    option(layers.damping,
           {.name = "damping",
            .minimum = 0,
            .maximum = 10,
            .doc = "Part of the mean diagonal added to the diagonal of the moments."});
    option(layers.dead_value,
           {.name = "dead_value",
            .minimum = 1e-12,
            .doc = "Diagonal moment, a sequence, given to inputs that are always 0."});
    visit_propagate(option, propagate);
    option.bits(layers.bits, "w_bits");
    option.bits(activation_bits, "a_bits");
  }
};

WeightsOnly asked_by(const QuantizeOptions& options) {
  return {.method = "zfold",
          .weight_bits = options.layers.bits,
          .activation_bits = options.activation_bits,
          .symmetric = options.layers.symmetric,
          .sequential = {.unit = quant::MomentUnit::kSequence, .propagate = options.propagate}};
}

Json quantize(StageContext& context, const quant::ModelLoader& loader) {
  const auto options = options_from<QuantizeOptions>(context);
  return run_weights_only(context, loader, asked_by(options), [&](const models::Network& network) {
    return [&](const std::vector<quant::LayerMoments>& layers) {
      return quantize_layers(network, layers, options.layers);
    };
  });
}

void check(const PlannedStage& stage) {
  check_weights_only(stage, asked_by(options_from<QuantizeOptions>(stage.context)));
}

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
      {.declaration = {.revision = 1}, .run = quantize, .check = check}, canary);
}

}  // namespace assay
