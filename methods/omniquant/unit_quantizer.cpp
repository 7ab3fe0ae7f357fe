#include "methods/omniquant/unit_quantizer.h"

#include <fmt/format.h>

#include <cmath>
#include <string>
#include <utility>

#include "harness/base/error.h"
#include "methods/omniquant/unit_training.h"

namespace assay::omniquant {
namespace {

double finite(double loss, std::int64_t unit) {
  if (std::isfinite(loss)) return loss;
  throw Error(ErrorKind::kMethod,
              fmt::format("block {}: the loss is {}: the block's inputs or outputs are not finite, "
                          "or training has diverged, where smaller learning rates may help",
                          unit, loss),
              {{"block", std::to_string(unit)}});
}

quant::BlockWalkResult quantize_unit(const models::Network& network,
                                     const quant::UnitInputs& inputs, const Options& options,
                                     const Watch& watch) {
  const std::string block = fmt::format("blocks.{}", inputs.unit);
  UnitTraining training(network, inputs, options);
  quant::BlockWalkResult result;
  if (options.lwc || options.let) {
    const double first = result.first_losses[block] = finite(training.loss(), inputs.unit);
    if (watch) watch(inputs.unit, 0, first);
    for (std::int64_t epoch = 1; epoch <= options.epochs; ++epoch) {
      const double mean = training.epoch();
      if (watch) watch(inputs.unit, epoch, mean);
    }
  }
  result.losses[block] = finite(training.loss(), inputs.unit);
  result.model = training.model();
  return result;
}

}  // namespace

quant::UnitQuantizer unit_quantizer(models::Network& network, const Options& options, Watch watch) {
  return [&network, options, watch = std::move(watch)](const quant::UnitInputs& inputs) {
    return quantize_unit(network, inputs, options, watch);
  };
}

}  // namespace assay::omniquant
