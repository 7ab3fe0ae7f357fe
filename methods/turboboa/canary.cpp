#include "methods/quant/canary.h"

#include <ATen/core/grad_mode.h>

#include "methods/turboboa/method.h"

namespace assay::turboboa {
namespace {

quant::TwoSidedOptions layer_at(int bits) {
  return {
      .bits = bits, .rows_per_step = 4, .adaptive_grid = true, .alpha = 0.25, .refine_sweeps = 1};
}

quant::CanaryWalk walk_with(const quant::TwoSidedOptions& layer) {
  return quant::walk_canary(
      [&](const models::Network& network) {
        return quant::two_sided_quantizer(network, layer, false);
      },
      sequential_options({layer}));
}

}  // namespace

void canary() {
  const at::NoGradGuard no_gradients;
  const quant::CanaryWalk turbo = walk_with(layer_at(3));
  quant::TwoSidedOptions own_inputs = layer_at(3), rounding = layer_at(3);
  own_inputs.alpha = 0;
  // Damping without bound makes the moments multiples of the identity: round to nearest.
  rounding.damping = 1e9;
  rounding.alpha = 0;
  rounding.refine_sweeps = 0;
  quant::assert_canary(walk_with(layer_at(15)).error < 1e-2, "turboboa",
                       "15 bits are close to float");
  quant::assert_canary(!turbo.same_codes(walk_with(own_inputs)), "turboboa",
                       "the errors of the inputs matter");
  quant::assert_canary(turbo.error < walk_with(rounding).error, "turboboa",
                       "it beats round to nearest");
}

}  // namespace assay::turboboa
