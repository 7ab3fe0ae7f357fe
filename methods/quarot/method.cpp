#include "methods/quarot/method.h"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>
#include <fmt/format.h>

#include "harness/base/error.h"
#include "harness/contract/declared_options.h"
#include "harness/contract/stage_recipe.h"
#include "harness/models/hadamard.h"
#include "methods/quant/float_network.h"
#include "methods/quant/stage_inputs.h"
#include "methods/quarot/rotation.h"
#include "methods/quarot/rounding.h"

namespace assay::quarot {
namespace {

// Of quarot.rotate.
struct RotateOptions {
  RotationKind rotation = RotationKind::kHadamard;

  void visit(OptionVisitor& option) {
    option(rotation, {.name = "rotation",
                      .doc = "Of the residual stream: a Hadamard matrix with random signs, or any "
                             "orthogonal matrix."});
  }
};

// Of quarot.quantize.
struct QuantizeOptions {
  Options rounding;
  std::string part = "both";

  void visit(OptionVisitor& option) {
    option(part,
           {.name = "quantize",
            .choices = {"both", "weights", "activations", "none"},
            .doc = "What is rounded after the rotation, keys and values with activations; the "
                   "rest of the bits is left to the next method of a composition (`quarot + "
                   "gptq`)."});
    option(rounding.weight_clip,
           {.name = "weight_clip",
            .doc = "Ranges of rows of weights are searched.",
            .when = "quantizes_weights,quantize!=activations,quantize!=none"});
    option(rounding.activation_clip,
           {.name = "act_clip",
            .minimum = 0.01,
            .maximum = 1,
            .doc = "Part of a token's range that its activations keep; the paper has 0.9.",
            .when = "quantizes_activations,quantize!=weights,quantize!=none"});
    visit_cache(option);
    option.bits(rounding.weight_bits, "w_bits");
    option.bits(rounding.activation_bits, "a_bits");
    option.bits(rounding.cache_bits, "kv_bits");
  }

 private:
  void visit_cache(OptionVisitor& option) {
    const std::string when = "quantizes_cache,quantize!=weights,quantize!=none";
    option(rounding.cache_clip,
           {.name = "kv_clip",
            .minimum = 0.01,
            .maximum = 1,
            .doc = "Part of the range that keys and values keep; the paper has 0.95.",
            .when = when});
    option(rounding.cache_group,
           {.name = "kv_group",
            .unit = "channels",
            .minimum = -1,
            .doc = "Channels of a head's key or value that share a range; -1: all heads of a token "
                   "do. The paper has a head of 128.",
            .when = when});
    option(rounding.cache_symmetric,
           {.name = "kv_symmetric",
            .doc = "Keys and values with zero points in the middle of the range; the paper: false.",
            .when = when});
  }
};

// With what is left to the next method as float.
Options rounding_options(const StageContext& context) {
  auto options = options_from<QuantizeOptions>(context);
  Options& rounding = options.rounding;
  if (options.part == "activations" || options.part == "none") rounding.weight_bits = kFloatBits;
  if (options.part == "weights" || options.part == "none") {
    rounding.activation_bits = rounding.cache_bits = kFloatBits;
  }
  return rounding;
}

void require_no_prefix(bool prefix) {
  if (!prefix) return;
  throw Error(ErrorKind::kUnsupported,
              "quarot rotates keys and values, and a method before it has put some in front that "
              "would stay as they are: let quarot come first (\"quarot + cushioncache\", quarot: "
              "{quantize: none})");
}

void check_rotation(const PlannedStage& stage) {
  const auto options = options_from<RotateOptions>(stage.context);
  if (stage.before.rotated) {
    throw Error(ErrorKind::kUnsupported,
                "quarot rotates a network once, and stands twice in this composition: leave one "
                "of them out");
  }
  quant::require_float(
      "quarot", stage.before.weights.value_or(false),
      stage.before.activations.value_or(false) || stage.before.cache.value_or(false),
      "quarot + gptq");
  require_no_prefix(stage.before.prefix > 0);
  require_rotatable(stage.network, options.rotation);
}

Json rotate(StageContext& context, const quant::ModelLoader& loader) {
  const at::NoGradGuard no_gradients;
  const auto options = options_from<RotateOptions>(context);
  const quant::MethodNetwork loaded = loader(context);
  models::Network& network = *loaded.network;
  quant::require_float("quarot", !loaded.before.layers.empty(), !loaded.tap->passive(),
                       "quarot + gptq");
  require_no_prefix(!network.prefix().empty());
  require_rotatable(network, options.rotation);
  quant::widen(network);
  const Rotation rotation(options.rotation, residual_width(network), seed_of(context));
  const std::unique_ptr<models::Network> made = rotated(network, rotation);
  models::save_network(*made, context.output());
  return {{"metrics", {{"rotated_blocks", made->unit_count()}}}};
}

Rounding rotates(const StageContext&) { return {.rotated = true}; }

// Keys of heads that no Hadamard matrix fits enter the cache as they were.
void require_turned_keys(const models::Network& network, int cache_bits) {
  if (cache_bits == kFloatBits) return;
  models::require_hadamard(network.attention_parts(0)->head_dim,
                           fmt::format("kv_bits = {}, for which quarot rotates keys (write bits "
                                       "without KV to leave them): the width of a head",
                                       cache_bits));
}

Json quantize(StageContext& context, const quant::ModelLoader& loader) {
  const at::NoGradGuard no_gradients;
  const Options options = rounding_options(context);
  const quant::MethodNetwork loaded = loader(context);
  models::Network& network = *loaded.network;
  require_turned_keys(network, StageParameters(context).bits("kv_bits"));
  check(network, options);
  quant::widen(network);
  const quant::QuantizedModel model = quantized(network, options);
  save_quantized(context.output(), model);
  Json result = quantization_result(network, loaded.before, model);
  // That nothing is rounded does not make it the network that the method was given.
  if (model.layers.empty() && model.activations.empty()) result.erase("note");
  return result;
}

void check_rounding(const PlannedStage& stage) {
  if (!stage.network.residual_parts()) return;  // said of quarot.rotate
  require_turned_keys(stage.network, StageParameters(stage.context).bits("kv_bits"));
  check(stage.network, rounding_options(stage.context));
}

Rounding rounds(const StageContext& context) {
  const Options options = rounding_options(context);
  const StageParameters asked(context);
  return {.weights = options.weight_bits != kFloatBits,
          .activations = options.activation_bits != kFloatBits,
          .cache = options.cache_bits != kFloatBits,
          .bits = {.weights = asked.bits("w_bits"),
                   .activations = asked.bits("a_bits"),
                   .cache = asked.bits("kv_bits")}};
}

}  // namespace
}  // namespace assay::quarot

namespace assay {

Method quarot_method() {
  using namespace quarot;
  return {.declaration = {.name = "quarot",
                          .title = "QuaRot: activations without outliers by rotation",
                          .paper = "Ashkboos et al., NeurIPS 2024, arXiv 2404.00456",
                          .families = {"opt", "llama"},
                          .parameters = schemas_of<RotateOptions, QuantizeOptions>(),
                          .reads_bits = true,
                          .calibration = "none",
                          .traits = {"quantizer"},
                          .switches = {"weight_clip", "kv_symmetric"},
                          .network = "quarot.quantize",
                          .values = quant::network_values()},
          .stages = {{.declaration = {.name = "quarot.rotate",
                                      .revision = 1,
                                      .reads = names_of<RotateOptions>(),
                                      .reads_model = true,
                                      .reads_network = true,
                                      .random = "seed"},
                      .run = rotate,
                      .check = check_rotation,
                      .rounds = rotates},
                     {.declaration = {.name = "quarot.quantize",
                                      .revision = 1,
                                      .reads = names_of<QuantizeOptions>(),
                                      .reads_model = true,
                                      .inputs = {{.name = "network", .stage = "quarot.rotate"}}},
                      .run = quantize,
                      .check = check_rounding,
                      .rounds = rounds}},
          .canary = canary};
}

}  // namespace assay
