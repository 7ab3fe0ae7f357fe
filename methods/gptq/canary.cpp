#include "methods/quant/canary.h"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>

#include "methods/gptq/method.h"

namespace assay::gptq {
namespace {

struct Trial {
  double error = 0;  // of the logits, relative
  quant::BlockWalkResult result;
};

Trial trial_at(int bits, double damping) {
  const std::unique_ptr<models::Network> network = quant::canary_network("opt");
  const at::Tensor tokens = quant::canary_inputs(*network, 16);
  const at::Tensor expected = network->forward(tokens);
  Trial trial;
  trial.result = quant::quantize_blocks(
      *network, tokens, layers_quantizer(*network, {.bits = bits, .damping = damping}),
      {.method = "gptq", .sequential = {.unit = quant::MomentUnit::kSequence}});
  trial.error = quant::relative_error(network->forward(tokens), expected);
  return trial;
}

}  // namespace

void canary() {
  const at::NoGradGuard no_gradients;
  const Trial gptq = trial_at(3, 0.01);
  // Damping without bound makes the moments a multiple of the identity: round to nearest.
  const Trial rounded = trial_at(3, 1e9);
  quant::assert_canary(trial_at(15, 0.01).error < 1e-2, "gptq", "15 bits are close to float");
  quant::assert_canary(gptq.error > 0, "gptq", "3 bits change the network");
  bool differs = false;
  for (const auto& [name, layer] : gptq.result.model.layers) {
    differs = differs || !layer.code.equal(rounded.result.model.layers.at(name).code);
  }
  quant::assert_canary(differs, "gptq", "the moments of the inputs matter");
  quant::assert_canary(gptq.error < rounded.error, "gptq", "it beats round to nearest");
}

}  // namespace assay::gptq
