#include "methods/quant/canary.h"

#include <ATen/core/grad_mode.h>

#include "methods/nf4/method.h"
#include "methods/nf4/rounding.h"

namespace assay::nf4 {
namespace {

// Relative error of the logits.
double error_with(Options options) {
  options.weight_bits = kBits;
  const std::unique_ptr<models::Network> network = quant::canary_network("vit");
  const at::Tensor inputs = quant::canary_inputs(*network, 4);
  const at::Tensor expected = network->forward(inputs);
  apply(rounded(*network, options), *network);
  return quant::relative_error(network->forward(inputs), expected);
}

}  // namespace

void canary() {
  const at::NoGradGuard no_gradients;
  const double usual = error_with({}), coded = error_with({.double_quantization = true});
  quant::assert_canary(error_with({.block = 1}) < 1e-6, "nf4", "a block of one weight is exact");
  quant::assert_canary(error_with({.block = 4}) < usual, "nf4", "small blocks are better");
  quant::assert_canary(usual < error_with({.block = 1 << 20}), "nf4", "one block a layer is worse");
  quant::assert_canary(coded != usual && coded < 1.5 * usual, "nf4",
                       "quantized scales cost little");
}

}  // namespace assay::nf4
