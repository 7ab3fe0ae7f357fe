#include "methods/gptq/method.h"

#include "methods/quant/in_layer.h"
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
    visit_group(option, layer.group);
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
    visit_symmetric(option, layer.symmetric);
    visit_moments(option, layer.damping, layer.dead_value, ", in units of moment_unit");
    option(unit, {.name = "moment_unit",
                  .doc = "What the moments are averaged over; matters only with dead inputs."});
    option(true_sequential,
           {.name = "true_sequential",
            .doc = "Moments collected anew after each group of layers that share an input.",
            .when = "propagate=quantized"});
    visit_propagate(option, propagate);
    option.bits(layer.bits, "w_bits");
    option.bits(activation_bits, "a_bits");
  }

  void settle() { require_group(layer.group); }

  WeightsOnly asked() const {
    return {
        .method = "gptq",
        .weight_bits = layer.bits,
        .activation_bits = activation_bits,
        .symmetric = layer.symmetric,
        .sequential = {.unit = unit, .propagate = propagate, .true_sequential = true_sequential}};
  }

  quant::BlockQuantizer quantizer(models::Network& network, StageContext&) const {
    return layers_quantizer(network, layer);
  }
};

}  // namespace

quant::LayersQuantizer layers_quantizer(const models::Network& network, const Options& options) {
  return [&network, options](const std::vector<quant::LayerMoments>& layers) {
    std::map<std::string, quant::LayerResult> results;
    for (const quant::LayerMoments& each : layers) {
      const std::string& name = each.layer.name;
      results[name] = quant::in_layer(name, [&] {
        return quantize_layer(network.parameters().value(name + ".weight"), each.column, options,
                              name);
      });
      results[name].weight.reset();  // the walk decodes it, one layer at a time
    }
    return results;
  };
}

}  // namespace assay::gptq

namespace assay {

Method gptq_method() {
  using namespace gptq;
  return weights_only_method<QuantizeOptions>(
      {.name = "gptq",
       .title = "GPTQ: second-order rounding, column by column",
       .paper = "Frantar, Ashkboos, Hoefler, Alistarh, ICLR 2023, arXiv 2210.17323",
       .families = {"opt", "llama", "vit"},
       .switches = {"act_order", "static_groups", "true_sequential"}},
      weights_only_stage<QuantizeOptions>(6), canary);
}

}  // namespace assay
