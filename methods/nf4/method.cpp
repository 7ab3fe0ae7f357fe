#include "methods/nf4/method.h"

#include <ATen/core/grad_mode.h>
#include <fmt/format.h>

#include <optional>
#include <string>

#include "harness/base/error.h"
#include "harness/contract/declared_options.h"
#include "methods/nf4/rounding.h"
#include "methods/quant/finished_layers.h"
#include "methods/weights_only.h"

namespace assay::nf4 {
namespace {

// Of nf4.quantize.
struct QuantizeOptions : Options {
  int activation_bits = kFloatBits;

  void visit(OptionVisitor& option) {
    option(block, {.name = "block",
                   .unit = "weights",
                   .minimum = 1,
                   .maximum = 1 << 30,
                   .doc = "Weights per scale, in row-major order and across rows.",
                   .when = "quantizes_weights"});
    option(double_quantization,
           {.name = "double_quantization",
            .doc = "Scales quantized to 8 bits, in groups of 256 after their mean is subtracted.",
            .when = "quantizes_weights"});
    option.bits(weight_bits, "w_bits");
    option.bits(activation_bits, "a_bits");
  }
};

void require_four_bits(const QuantizeOptions& options) {
  if (options.weight_bits == kBits || options.weight_bits == kFloatBits) return;
  throw Error(
      ErrorKind::kUnsupported,
      fmt::format("w_bits = {0}: nf4 has 16 levels, which are 4 bits; write W4A{1}, or take "
                  "another method for {0} bits",
                  options.weight_bits, options.activation_bits),
      {{"parameter", "w_bits"}, {"value", std::to_string(options.weight_bits)}});
}

// `activations`: whether they are rounded before it; nothing: not known.
void require_offered(const QuantizeOptions& options, std::optional<bool> activations) {
  require_four_bits(options);
  if (!activations) return;
  require_rounded_activations({.method = "nf4",
                               .weight_bits = options.weight_bits,
                               .activation_bits = options.activation_bits},
                              *activations);
}

Json quantize(StageContext& context, const quant::ModelLoader& loader) {
  const at::NoGradGuard no_gradients;
  const auto options = options_from<QuantizeOptions>(context);
  const quant::MethodNetwork loaded = loader(context);
  require_offered(options, !loaded.tap->passive());
  quant::widen(*loaded.network);
  const quant::QuantizedModel model =
      rounded(*loaded.network, options, context.output() / quant::kScratchFolder);
  save_quantized(context.output(), model);
  return quantization_result(*loaded.network, loaded.before, model);
}

void check(const PlannedStage& stage) {
  require_offered(options_from<QuantizeOptions>(stage.context), stage.before.activations);
}

}  // namespace
}  // namespace assay::nf4

namespace assay {

Method nf4_method() {
  using namespace nf4;
  return {.declaration = {.name = "nf4",
                          .title = "NF4: the 16 levels of a normal distribution",
                          .paper = "Dettmers et al., NeurIPS 2023, arXiv 2305.14314 (QLoRA)",
                          .parameters = schemas_of<QuantizeOptions>(),
                          .reads_bits = true,
                          .calibration = "none",
                          .traits = {"quantizer"},
                          .switches = {"double_quantization"},
                          .network = "nf4.quantize",
                          .values = quant::network_values()},
          .stages = {{.declaration = {.name = "nf4.quantize",
                                      .reads = names_of<QuantizeOptions>(),
                                      .reads_model = true,
                                      .reads_network = true},
                      .run = quantize,
                      .check = check,
                      .rounds = rounds_weights}},
          .canary = canary};
}

}  // namespace assay
