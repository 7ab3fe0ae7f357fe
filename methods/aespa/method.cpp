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
    option(layers.damping,
           {.name = "damping",
            .minimum = 0,
            .maximum = 10,
            .doc = "Part of the mean diagonal added to the diagonal of the column moments."});
    option(layers.dead_value,
           {.name = "dead_value",
            .minimum = 1e-12,
            .doc = "Diagonal moment given to inputs that are always 0; 1/2048 in the release."});
    visit_propagate(option, propagate);
    option.bits(layers.bits, "w_bits");
    option.bits(activation_bits, "a_bits");
  }

 private:
  void visit_grid(OptionVisitor& option) {
    option(layers.zfold, {.name = "zfold",
                          .doc = "A factor of the column in the scales of layers that allow it."});
    option(layers.zfold_rounds, {.name = "zfold_rounds",
                                 .unit = "rounds",
                                 .minimum = 1,
                                 .maximum = 1000,
                                 .doc = "The most alternations between factors and grids.",
                                 .when = "zfold=true"});
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

WeightsOnly asked_by(const QuantizeOptions& options) {
  WeightsOnly asked{.method = "aespa",
                    .weight_bits = options.layers.bits,
                    .activation_bits = options.activation_bits,
                    .symmetric = options.layers.symmetric,
                    .sequential = sequential_options(options.value_columns)};
  asked.sequential.propagate = options.propagate;
  return asked;
}

Json quantize(StageContext& context, const quant::ModelLoader& loader) {
  const auto options = options_from<QuantizeOptions>(context);
  const auto stepped = [&context](std::int64_t done) {
    if (done % 50 == 0) quant::require_running(context);
  };
  return run_weights_only(context, loader, asked_by(options), [&](const models::Network& network) {
    return [&](const std::vector<quant::LayerMoments>& layers) {
      return quantize_layers(network, layers, options.layers, stepped);
    };
  });
}

void check(const PlannedStage& stage) {
  check_weights_only(stage, asked_by(options_from<QuantizeOptions>(stage.context)));
}

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
      {.declaration = {.revision = 1}, .run = quantize, .check = check}, canary);
}

}  // namespace assay
