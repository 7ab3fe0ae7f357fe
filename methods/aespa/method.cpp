#include "methods/aespa/method.h"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>
#include <fmt/format.h>

#include "harness/base/error.h"
#include "harness/contract/declared_options.h"
#include "methods/quant/stage_inputs.h"
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
    option(value_columns,
           {.name = "block_v",
            .doc = "Moments of v behind the attention probabilities, one matrix a head."});
    option(layers.damping,
           {.name = "damping",
            .minimum = 0,
            .maximum = 10,
            .doc = "Part of the mean diagonal added to the diagonal of the column moments."});
    option(layers.dead_value,
           {.name = "dead_value",
            .minimum = 1e-12,
            .doc = "Diagonal moment given to inputs that are always 0; 1/2048 in the release."});
    option(propagate,
           {.name = "propagate",
            .doc = "Blocks that produce the inputs a block's moments see: as they were quantized "
                   "(the release), or as they were."});
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
    option(layers.symmetric,
           {.name = "symmetric", .doc = "Zero points in the middle of the range."});
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

Json quantize(StageContext& context, const quant::ModelLoader& loader) {
  const at::NoGradGuard no_gradients;
  const auto asked = options_from<QuantizeOptions>(context);
  quant::MethodNetwork loaded = loader(context);
  require_rounded_activations("aespa", asked.layers.bits, asked.activation_bits,
                              !loaded.tap->passive());
  const auto stepped = [&context](std::int64_t done) {
    if (done % 50 == 0 && context.stop_requested()) {
      throw Error(ErrorKind::kLost, "stopped inside a block, which will be done again");
    }
  };
  quant::LayersQuantizer quantizer;
  if (asked.layers.bits != kFloatBits) {
    quantizer = [&](const std::vector<quant::LayerMoments>& layers) {
      return quantize_layers(*loaded.network, layers, asked.layers, stepped);
    };
  }
  quant::SequentialOptions sequential = sequential_options(asked.value_columns);
  sequential.propagate = asked.propagate;
  return quant::run_block_walk(context, loaded, quantizer,
                               {.method = "aespa", .sequential = sequential});
}

void check(const PlannedStage& stage) {
  const auto options = options_from<QuantizeOptions>(stage.context);
  quant::require_levels("w_bits", options.layers.bits, options.layers.symmetric);
  if (stage.before.activations) {
    require_rounded_activations("aespa", options.layers.bits, options.activation_bits,
                                *stage.before.activations);
  }
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
  std::vector<ParameterSchema> parameters = schemas_of<QuantizeOptions>();
  const std::vector<ParameterSchema> calibration = quant::calibration_parameters(128);
  parameters.insert(parameters.end(), calibration.begin(), calibration.end());
  return {
      .declaration = {.name = "aespa",
                      .title = "aespa: rounding learned against attention-aware moments",
                      .paper = "Kim et al., NeurIPS 2024, arXiv 2402.08958",
                      .families = {"opt", "llama"},
                      .parameters = std::move(parameters),
                      .reads_bits = true,
                      .calibration = "calibration",
                      .traits = {"quantizer"},
                      .switches = {"zfold", "pre_update", "act_order", "learn_rounding", "block_v"},
                      .network = "aespa.quantize",
                      .values = quant::network_values()},
      .stages = {{.declaration = {.name = "aespa.quantize",
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
