#include "methods/quant/canary.h"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>

#include "methods/turboboa/method.h"

namespace assay::turboboa {
namespace {

struct Trial {
  double error = 0;  // of the logits, relative
  quant::BlockWalkResult result;
};

Trial trial_of(const quant::TwoSidedOptions& layer) {
  const std::unique_ptr<models::Network> network = quant::canary_network("opt");
  const at::Tensor tokens = quant::canary_inputs(*network, 16);
  const at::Tensor expected = network->forward(tokens);
  Trial trial;
  trial.result =
      quant::quantize_blocks(*network, tokens, quant::two_sided_quantizer(*network, layer, false),
                             {.method = "turboboa", .sequential = sequential_options({layer})});
  trial.error = quant::relative_error(network->forward(tokens), expected);
  return trial;
}

quant::TwoSidedOptions layer_at(int bits) {
  return {
      .bits = bits, .rows_per_step = 4, .adaptive_grid = true, .alpha = 0.25, .refine_sweeps = 1};
}

}  // namespace

void canary() {
  const at::NoGradGuard no_gradients;
  const Trial turbo = trial_of(layer_at(3));
  quant::TwoSidedOptions without = layer_at(3), rounding = layer_at(3);
  without.alpha = 0;
  // Damping without bound makes the moments multiples of the identity: round to nearest.
  rounding.damping = 1e9;
  rounding.alpha = 0;
  rounding.refine_sweeps = 0;
  const Trial own_inputs = trial_of(without);
  quant::assert_canary(trial_of(layer_at(15)).error < 1e-2, "turboboa",
                       "15 bits are close to float");
  bool upstream_matters = false;
  for (const auto& [name, layer] : turbo.result.model.layers) {
    upstream_matters =
        upstream_matters || !layer.code.equal(own_inputs.result.model.layers.at(name).code);
  }
  quant::assert_canary(upstream_matters, "turboboa", "the errors of the inputs matter");
  quant::assert_canary(turbo.error < trial_of(rounding).error, "turboboa",
                       "it beats round to nearest");
}

}  // namespace assay::turboboa
