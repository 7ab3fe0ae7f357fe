#include "methods/quant/canary.h"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>

#include "methods/awq/method.h"
#include "methods/awq/unit_quantizer.h"

namespace assay::awq {
namespace {

quant::CanaryWalk walk_with(const Options& options) {
  return quant::walk_canary(
      [&](models::Network& network) { return unit_quantizer(network, options); },
      {.propagate = quant::Propagation::kFloat});
}

// How far the float network moves when its channels are scaled.
double error_of_scaling(const quant::QuantizedModel& model) {
  const std::unique_ptr<models::Network> network = quant::canary_network("opt");
  const at::Tensor tokens = quant::canary_inputs(*network, 16);
  const at::Tensor expected = network->forward(tokens);
  quant::apply({.method = "awq", .channel_scales = model.channel_scales}, *network);
  return quant::relative_error(network->forward(tokens), expected);
}

}  // namespace

void canary() {
  const at::NoGradGuard no_gradients;
  const quant::CanaryWalk awq = walk_with({.bits = 3});
  const quant::CanaryWalk nearest = walk_with({.bits = 3, .scale = false, .clip = false});
  const auto assert_that = [](bool holds, const char* statement) {
    quant::assert_canary(holds, "awq", statement);
  };
  assert_that(error_of_scaling(awq.model) < 1e-5, "scaling leaves the float network as it is");
  assert_that(walk_with({.bits = 15}).error < 1e-2, "15 bits are close to float");
  assert_that(awq.error < nearest.error, "it beats round to nearest");
}

}  // namespace assay::awq
