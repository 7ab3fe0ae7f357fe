#include "methods/quant/canary.h"

#include <ATen/core/grad_mode.h>

#include "methods/gptq/method.h"

namespace assay::gptq {
namespace {

quant::CanaryWalk walk_at(int bits, double damping) {
  return quant::walk_canary(
      [&](const models::Network& network) {
        return layers_quantizer(network, {.bits = bits, .damping = damping});
      },
      {.unit = quant::MomentUnit::kSequence});
}

}  // namespace

void canary() {
  const at::NoGradGuard no_gradients;
  const quant::CanaryWalk gptq = walk_at(3, 0.01);
  // Damping without bound makes the moments a multiple of the identity: round to nearest.
  const quant::CanaryWalk rounded = walk_at(3, 1e9);
  quant::assert_canary(walk_at(15, 0.01).error < 1e-2, "gptq", "15 bits are close to float");
  quant::assert_canary(gptq.error > 0, "gptq", "3 bits change the network");
  quant::assert_canary(!gptq.same_codes(rounded), "gptq", "the moments of the inputs matter");
  quant::assert_canary(gptq.error < rounded.error, "gptq", "it beats round to nearest");
}

}  // namespace assay::gptq
