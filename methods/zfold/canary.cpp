#include "methods/quant/canary.h"

#include <ATen/core/grad_mode.h>

#include "methods/zfold/method.h"

namespace assay::zfold {
namespace {

quant::CanaryWalk walk_with(const Options& options) {
  return quant::walk_canary(
      [&](const models::Network& network) {
        return [&network, options](const std::vector<quant::LayerMoments>& layers) {
          return quantize_layers(network, layers, options);
        };
      },
      {.unit = quant::MomentUnit::kSequence});
}

}  // namespace

void canary() {
  const at::NoGradGuard no_gradients;
  const quant::CanaryWalk folded = walk_with({.bits = 3});
  quant::assert_canary(walk_with({.bits = 15}).error < 1e-2, "zfold", "15 bits are close to float");
  quant::assert_canary(!folded.same_codes(walk_with({.bits = 3, .zfold = false})), "zfold",
                       "the factors of the columns change the codes");
  // Damping without bound makes the moments multiples of the identity.
  quant::assert_canary(!folded.same_codes(walk_with({.bits = 3, .damping = 1e9})), "zfold",
                       "the moments of the inputs matter");
  const quant::CanaryWalk nearest =
      walk_with({.bits = 3, .zfold = false, .hessian = false, .damping = 1e9});
  quant::assert_canary(folded.error < nearest.error, "zfold", "it beats round to nearest");
}

}  // namespace assay::zfold
