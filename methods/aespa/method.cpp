#include "methods/aespa/method.h"

#include "methods/weights_only.h"

namespace assay::aespa {
namespace {

// Of aespa.quantize.
struct QuantizeOptions {
  Options layers;
  bool value_columns = true;
  quant::Propagation propagate = quant::Propagation::kQuantized;
  int activation_bits = kFloatBits;

  void visit(OptionVisitor& option) {
    visit_grid(option);
    visit_rounding(option);
    visit_block_v(option, value_columns);
    visit_moments(option, layers.damping, layers.dead_value, "; 1/2048 in the release");
    visit_propagate(option, propagate);
    option.bits(layers.bits, "w_bits");
    option.bits(activation_bits, "a_bits");
  }

  WeightsOnly asked() const {
    WeightsOnly asked{.method = "aespa",
                      .weight_bits = layers.bits,
                      .activation_bits = activation_bits,
                      .symmetric = layers.symmetric,
                      .sequential = sequential_options(value_columns)};
    asked.sequential.propagate = propagate;
    return asked;
  }

  quant::BlockQuantizer quantizer(models::Network& network, StageContext& context) const {
    const auto stepped = [&context](std::int64_t done) {
      if (done % 50 == 0) quant::require_running(context);
    };
    return [&network, stepped, this](const std::vector<quant::LayerMoments>& moments) {
      return quantize_layers(network, moments, layers, stepped);
    };
  }

 private:
  void visit_grid(OptionVisitor& option) {
    visit_zfold(option, layers.zfold, layers.zfold_rounds);
    visit_symmetric(option, layers.symmetric);
  }

  void visit_rounding(OptionVisitor& option) {
    option(layers.pre_update,
           {.name = "pre_update",
            .doc = "Rounding starts from weights that the column loop of GPTQ has compensated."});
    option(layers.act_order, {.name = "act_order",
                              .doc = "That loop in descending order of the moments' diagonal.",
                              .when = "pre_update=true"});
    option(layers.learn_rounding,
           {.name = "learn_rounding", .doc = "Rounding learned by Adam; false: to the nearest."});
    option(layers.iterations, {.name = "iterations",
                               .unit = "steps",
                               .minimum = 1,
                               .maximum = 1000000,
                               .doc = "Steps of Adam for every layer.",
                               .when = "learn_rounding=true"});
    option(layers.learning_rate, {.name = "learning_rate",
                                  .minimum = 1e-9,
                                  .maximum = 10,
                                  .doc = "Of Adam.",
                                  .when = "learn_rounding=true"});
    option(layers.lambda_qkv, {.name = "lambda_qkv",
                               .minimum = 0,
                               .doc = "Weight of the regulariser for q, k and v.",
                               .when = "learn_rounding=true"});
    option(layers.lambda_other, {.name = "lambda_other",
                                 .minimum = 0,
                                 .doc = "Weight of the regulariser for all other layers; 1 in the "
                                        "release, 1.5 in the paper.",
                                 .when = "learn_rounding=true"});
  }
};

}  // namespace

quant::SequentialOptions sequential_options(bool value_columns) {
  return {
      .unit = quant::MomentUnit::kToken, .attention_rows = true, .attention_values = value_columns};
}

}  // namespace assay::aespa

namespace assay {

Method aespa_method() {
  using namespace aespa;
  return weights_only_method<QuantizeOptions>(
      {.name = "aespa",
       .title = "aespa: rounding learned against attention-aware moments",
       .paper = "Kim et al., NeurIPS 2024, arXiv 2402.08958",
       .families = {"opt", "llama"},
       .switches = {"zfold", "pre_update", "act_order", "learn_rounding", "block_v"}},
      weights_only_stage<QuantizeOptions>(4), canary);
}

}  // namespace assay
