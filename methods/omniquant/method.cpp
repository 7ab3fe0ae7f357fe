#include "methods/omniquant/method.h"

#include <ATen/core/grad_mode.h>
#include <fmt/format.h>

#include <utility>

#include "harness/base/error.h"
#include "methods/omniquant/options.h"
#include "methods/omniquant/unit_quantizer.h"
#include "methods/quant/block_walk.h"
#include "methods/quant/float_network.h"
#include "methods/quant/stage_inputs.h"
#include "methods/weights_only.h"

namespace assay::omniquant {
namespace {

constexpr std::int64_t kEpochs = 20, kEpochsOfTwoBits = 40;  // of the release's scripts

// Of omniquant.quantize.
struct QuantizeOptions {
  Options training{.epochs = 0};
  std::string let_on = "auto";
  std::string part = "both";

  void visit(OptionVisitor& option) {
    visit_group(option, training.group);
    visit_what_is_learned(option);
    visit_training(option);
    visit_activations(option);
    option.bits(training.weight_bits, "w_bits");
    option.bits(training.activation_bits, "a_bits");
  }

 private:
  void visit_what_is_learned(OptionVisitor& option) {
    option(
        training.lwc,
        {.name = "lwc", .doc = "The range that every row and group of a weight keeps is learned."});
    option(training.let,
           {.name = "let",
            .doc = "Scales of channels are learned, and shifts where activations are rounded and "
                   "norms have biases."});
    option(let_on,
           {.name = "let_on",
            .choices = {"auto", "all"},
            .doc = "Where `let` holds: as in the release for networks with LayerNorm, and for "
                   "those with RMSNorm where activations are rounded; or everywhere.",
            .when = "let=true"});
    option(training.alpha,
           {.name = "alpha",
            .minimum = 0,
            .maximum = 1,
            .doc = "How much of the outliers the scales move into the weights before "
                   "training; published: 0.5, for W4A4 also 0.75.",
            .when = "let=true"});
  }

  void visit_training(OptionVisitor& option) {
    option(training.augment_loss,
           {.name = "augment_loss",
            .doc = "The loss counts the distance from the float block on the quantized network's "
                   "inputs, too; the release does so for LLaMA at 2 bits and at W4A4."});
    option(
        training.epochs,
        {.name = "epochs",
         .unit = "epochs",
         .minimum = 0,
         .maximum = 100000,
         .doc = "Passes over the calibration windows for every block; 0 takes 20, 40 at 2 bits."});
    option(training.batch, {.name = "batch",
                            .unit = "windows",
                            .minimum = 1,
                            .maximum = 100000,
                            .doc = "Calibration windows a step."});
    option(training.lwc_learning_rate, {.name = "lwc_learning_rate",
                                        .minimum = 0,
                                        .maximum = 10,
                                        .doc = "Of AdamW for the ranges.",
                                        .when = "lwc=true"});
    option(training.let_learning_rate, {.name = "let_learning_rate",
                                        .minimum = 0,
                                        .maximum = 10,
                                        .doc = "Of AdamW for scales and shifts.",
                                        .when = "let=true"});
  }

  void visit_activations(OptionVisitor& option) {
    option(part, {.name = "quantize",
                  .choices = {"both", "weights"},
                  .doc = "What is rounded; activations may be left to the next method of a "
                         "composition (`omniquant + rtn`), and training does not round them then.",
                  .when = "quantizes_activations"});
    option(
        training.quantize_bmm,
        {.name = "quantize_bmm",
         .doc = "Queries, keys and values are rounded too, not the inputs of linear layers alone.",
         .when = "quantizes_activations,quantize!=weights"});
  }
};

// Whether the release's scripts learn scales: its LLaMA has them where activations are rounded.
bool learns_scales(const QuantizeOptions& options, const models::Network& network) {
  if (!options.training.let) return false;
  return options.let_on == "all" || network.info().family != "llama" ||
         options.training.activation_bits != kFloatBits;
}

// With the half that is left to the next method as float.
QuantizeOptions asked_of(const StageContext& context) {
  auto options = options_from<QuantizeOptions>(context);
  if (options.part == "weights") options.training.activation_bits = kFloatBits;
  return options;
}

// Throws Error for values that fit their schemas and are not offered all the same.
QuantizeOptions options_of(const StageContext& context) {
  QuantizeOptions options = asked_of(context);
  Options& training = options.training;
  require_group(training.group);
  if (training.weight_bits == 1) {
    throw Error(ErrorKind::kUnsupported,
                "w_bits = 1: with one level besides 0 nothing is left of the weights on the other "
                "side of it; take 2 bits or more",
                {{"parameter", "w_bits"}, {"value", "1"}});
  }
  if (training.weight_bits == kFloatBits && training.activation_bits != kFloatBits) {
    throw Error(
        ErrorKind::kUnsupported,
        fmt::format("w_bits = 16 with a_bits = {}: omniquant learns how weights are rounded; "
                    "let smoothquant or rtn round activations alone",
                    training.activation_bits),
        {{"parameter", "w_bits"}, {"value", "16"}});
  }
  if (training.epochs == 0)
    training.epochs = training.weight_bits == 2 ? kEpochsOfTwoBits : kEpochs;
  return options;
}

// What it asks of the network that it is given. `prefix`: tokens that may stand before it.
void require_fit(const models::Network& network, const QuantizeOptions& options,
                 std::int64_t prefix) {
  quant::require_linear_units(network);
  if (!learns_scales(options, network)) return;
  quant::require_scale_groups(network);
  if (prefix == 0) return;
  throw Error(
      ErrorKind::kUnsupported,
      "omniquant scales keys and values, and a method before it puts a prefix in front, "
      "whose keys and values would stay as they are: let omniquant come first (\"omniquant + "
      "cushioncache\"), or write let: false",
      {{"parameter", "let"}, {"value", "true"}});
}

Json quantize(StageContext& context, const quant::ModelLoader& loader) {
  const at::NoGradGuard no_gradients;
  const QuantizeOptions options = options_of(context);
  quant::MethodNetwork loaded = loader(context);
  models::Network& network = *loaded.network;
  quant::BlockQuantizer quantizer;
  quant::BlockWalkOptions walk{.method = "omniquant", .sequential = {.upstream = true}};
  if (options.training.weight_bits != kFloatBits) {
    quant::require_float("omniquant", !loaded.before.layers.empty(), !loaded.tap->passive(),
                         "omniquant + rtn");
    require_fit(network, options, network.prefix().length());
    Options training = options.training;
    training.let = learns_scales(options, network);
    const std::int64_t epochs = training.lwc || training.let ? training.epochs : 0;
    walk.steps_of_unit = epochs + 1;
    walk.steps = "epochs";
    quantizer = unit_quantizer(network, training,
                               [&context, epochs, units = network.unit_count()](
                                   std::int64_t unit, std::int64_t epoch, double loss) {
                                 const std::int64_t done = unit * (epochs + 1) + epoch;
                                 context.metric("block_loss", loss, done);
                                 context.progress(done, units * (epochs + 1), "epochs");
                               });
  }
  return quant::run_block_walk(context, loaded, quantizer, std::move(walk));
}

void check(const PlannedStage& stage) {
  const QuantizeOptions options = options_of(stage.context);
  if (options.training.weight_bits == kFloatBits) return;
  quant::require_float("omniquant", stage.before.weights.value_or(false),
                       stage.before.activations.value_or(false), "omniquant + rtn");
  require_fit(stage.network, options, stage.before.prefix);
}

Rounding rounds(const StageContext& context) {
  const Options options = asked_of(context).training;
  const StageParameters asked(context);
  return {.weights = options.weight_bits != kFloatBits,
          .activations = options.activation_bits != kFloatBits,
          .bits = {.weights = asked.bits("w_bits"), .activations = asked.bits("a_bits")}};
}

std::vector<ParameterSchema> parameters() {
  std::vector<ParameterSchema> all = schemas_of<QuantizeOptions>();
  for (ParameterSchema& each : all) {
    each.when = "quantizes_weights" + (each.when.empty() ? "" : "," + each.when);
  }
  const std::vector<ParameterSchema> calibration = quant::calibration_parameters(128);
  all.insert(all.end(), calibration.begin(), calibration.end());
  return all;
}

}  // namespace
}  // namespace assay::omniquant

namespace assay {

Method omniquant_method() {
  using namespace omniquant;
  return {.declaration = {.name = "omniquant",
                          .title = "OmniQuant: learned ranges of weights and scales of channels",
                          .paper = "Shao et al., ICLR 2024, arXiv 2308.13137",
                          .families = {"opt", "llama"},
                          .parameters = parameters(),
                          .reads_bits = true,
                          .calibration = "calibration",
                          .traits = {"quantizer"},
                          .switches = {"lwc", "let", "augment_loss", "quantize_bmm"},
                          .network = "omniquant.quantize",
                          .values = quant::network_values()},
          .stages = {{.declaration = {.name = "omniquant.quantize",
                                      .revision = 1,
                                      .reads = names_of<QuantizeOptions>(),
                                      .reads_model = true,
                                      .reads_network = true,
                                      .inputs = quant::calibration_data("quantizes_weights")},
                      .run = quantize,
                      .check = check,
                      .rounds = rounds}},
          .canary = canary};
}

}  // namespace assay
