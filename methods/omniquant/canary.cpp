#include "methods/quant/canary.h"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>

#include "methods/omniquant/method.h"
#include "methods/omniquant/transformation.h"
#include "methods/omniquant/unit_quantizer.h"
#include "methods/quant/channel_ranges.h"

namespace assay::omniquant {
namespace {

quant::CanaryWalk walk_with(const Options& options) {
  return quant::walk_canary(
      [&](models::Network& network) { return unit_quantizer(network, options); },
      {.upstream = true});
}

// How far the float network moves under the transformation that training starts from.
double error_of_the_start() {
  const std::unique_ptr<models::Network> network = quant::canary_network("opt");
  const at::Tensor tokens = quant::canary_inputs(*network, 8);
  const at::Tensor expected = network->forward(tokens);
  const quant::Chunk chunk = quant::chunk_of(tokens, 0, tokens.size(0));
  for (std::int64_t unit = 0; unit < network->unit_count(); ++unit) {
    quant::ChannelRangeTap observer(changed_sites(*network, unit), true);
    observer.begin(&chunk);
    network->forward(tokens, observer);
    const Transformation first =
        first_transformation(*network, unit, observer.ranges(), {.shifts = true});
    quant::replace_parameters(transformed(parameters_of(*network, unit), first), *network);
  }
  return quant::relative_error(network->forward(tokens), expected);
}

}  // namespace

void canary() {
  const at::NoGradGuard no_gradients;
  const auto assert_that = [](bool holds, const char* statement) {
    quant::assert_canary(holds, "omniquant", statement);
  };
  const quant::CanaryWalk learned = walk_with({.weight_bits = 3, .epochs = 4});
  const quant::CanaryWalk nearest = walk_with({.weight_bits = 3, .lwc = false, .let = false});
  assert_that(error_of_the_start() < 1e-4, "scales and shifts leave the float network as it is");
  // Ranges start clipped.
  assert_that(walk_with({.weight_bits = 15, .lwc = false, .epochs = 1}).error < 1e-2,
              "15 bits are close to float");
  for (const auto& [block, first] : learned.first_losses) {
    assert_that(learned.losses.at(block) < first, "training lowers the loss of every block");
  }
  assert_that(learned.error < nearest.error, "it beats round to nearest");
}

}  // namespace assay::omniquant
