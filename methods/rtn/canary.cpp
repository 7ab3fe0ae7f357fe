#include "methods/quant/canary.h"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>
#include <fmt/format.h>

#include "methods/rtn/method.h"
#include "methods/rtn/rounding.h"

namespace assay::rtn {
namespace {

// Relative error of the logits at these bits; the grids themselves have up to 16 bits here.
double error_at(int weight_bits, int activation_bits) {
  const std::unique_ptr<models::Network> network = quant::canary_network("vit");
  const at::Tensor inputs = quant::canary_inputs(*network, 4);
  const at::Tensor expected = network->forward(inputs);
  const Options options{.weight_bits = weight_bits, .activation_bits = activation_bits};
  const quant::Ranges ranges = quant::observe(*network, {inputs, 4}, network->sites(), {});
  const quant::QuantizedModel model = round_to_nearest(*network, options, ranges);
  const std::unique_ptr<models::Tap> tap = apply(model, *network);
  return quant::relative_error(network->forward(inputs, *tap), expected);
}

}  // namespace

void canary() {
  const at::NoGradGuard no_gradients;
  const double fifteen = error_at(15, 15), eight = error_at(8, 8), low = error_at(4, 4);
  const std::string found = fmt::format(
      " (relative errors {:.2e}, {:.2e}, {:.2e} at 15, 8, 4 bits)", fifteen, eight, low);
  quant::assert_canary(error_at(16, 16) == 0, "rtn", "W16A16 is the float network");
  quant::assert_canary(fifteen > 0 && fifteen < 1e-2, "rtn", "15 bits are close to float" + found);
  quant::assert_canary(fifteen < eight && eight < low, "rtn", "fewer bits are worse" + found);
}

}  // namespace assay::rtn
