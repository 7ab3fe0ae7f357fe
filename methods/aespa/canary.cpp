#include "methods/quant/canary.h"

#include <ATen/core/grad_mode.h>

#include "methods/aespa/method.h"

namespace assay::aespa {
namespace {

quant::CanaryWalk walk_with(const Options& options) {
  return quant::walk_canary(
      [&](const models::Network& network) {
        return [&network, options](const std::vector<quant::LayerMoments>& layers) {
          return quantize_layers(network, layers, options, {});
        };
      },
      sequential_options(true));
}

}  // namespace

void canary() {
  const at::NoGradGuard no_gradients;
  constexpr std::int64_t kIterations = 300;
  const quant::CanaryWalk learned = walk_with({.bits = 3, .iterations = kIterations});
  quant::assert_canary(walk_with({.bits = 15, .iterations = kIterations}).error < 1e-2, "aespa",
                       "15 bits are close to float");
  quant::assert_canary(!learned.same_codes(walk_with({.bits = 3, .learn_rounding = false})),
                       "aespa", "learning changes the rounding");
  // Damping without bound makes the moments multiples of the identity.
  const Options nearest{
      .bits = 3, .zfold = false, .pre_update = false, .learn_rounding = false, .damping = 1e9};
  quant::assert_canary(learned.error < walk_with(nearest).error, "aespa",
                       "it beats round to nearest");
}

}  // namespace assay::aespa
