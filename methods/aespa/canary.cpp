#include "methods/quant/canary.h"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>

#include "methods/aespa/method.h"

namespace assay::aespa {
namespace {

struct Trial {
  double error = 0;  // of the logits, relative
  quant::BlockWalkResult result;
};

Trial trial_of(const Options& options) {
  const std::unique_ptr<models::Network> network = quant::canary_network("opt");
  const at::Tensor tokens = quant::canary_inputs(*network, 16);
  const at::Tensor expected = network->forward(tokens);
  Trial trial;
  trial.result =
      quant::quantize_blocks(*network, tokens,
                             [&](const std::vector<quant::LayerMoments>& layers) {
                               return quantize_layers(*network, layers, options, {});
                             },
                             {.method = "aespa", .sequential = sequential_options(true)});
  trial.error = quant::relative_error(network->forward(tokens), expected);
  return trial;
}

}  // namespace

void canary() {
  const at::NoGradGuard no_gradients;
  constexpr std::int64_t kIterations = 300;
  const Trial learned = trial_of({.bits = 3, .iterations = kIterations});
  const Trial compensated = trial_of({.bits = 3, .learn_rounding = false});
  // Damping without bound makes the moments multiples of the identity.
  const Trial rounded = trial_of(
      {.bits = 3, .zfold = false, .pre_update = false, .learn_rounding = false, .damping = 1e9});
  quant::assert_canary(trial_of({.bits = 15, .iterations = kIterations}).error < 1e-2, "aespa",
                       "15 bits are close to float");
  bool learns = false;
  for (const auto& [name, layer] : learned.result.model.layers) {
    learns = learns || !layer.code.equal(compensated.result.model.layers.at(name).code);
  }
  quant::assert_canary(learns, "aespa", "learning changes the rounding");
  quant::assert_canary(learned.error < rounded.error, "aespa", "it beats round to nearest");
}

}  // namespace assay::aespa
