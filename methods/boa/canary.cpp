#include "methods/quant/canary.h"

#include <ATen/core/grad_mode.h>

#include "methods/boa/method.h"

namespace assay::boa {
namespace {

quant::CanaryWalk walk_at(int bits, double damping, bool rows) {
  const ModelOptions options{.layer = {.bits = bits, .damping = damping}};
  quant::SequentialOptions sequential = sequential_options(options);
  sequential.attention_rows = rows;
  return quant::walk_canary(
      [&](const models::Network& network) {
        return quant::two_sided_quantizer(network, options.layer, options.value_rows);
      },
      sequential);
}

}  // namespace

void canary() {
  const at::NoGradGuard no_gradients;
  const quant::CanaryWalk boa = walk_at(3, 0.01, true);
  quant::assert_canary(walk_at(15, 0.01, true).error < 1e-2, "boa", "15 bits are close to float");
  quant::assert_canary(!boa.same_codes(walk_at(3, 0.01, false)), "boa",
                       "the moments of the rows matter");
  // Damping without bound makes the moments multiples of the identity: round to nearest.
  quant::assert_canary(boa.error < walk_at(3, 1e9, true).error, "boa", "it beats round to nearest");
}

}  // namespace assay::boa
