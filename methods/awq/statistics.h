#pragma once

#include <ATen/core/Tensor.h>

#include <map>
#include <set>
#include <string>

#include "harness/models/network.h"
#include "methods/quant/sequential.h"

namespace assay::awq {

// What the searches need of the inputs of a unit's layers, by site. A squared error of a linear
// layer's outputs is dw H dw^T, so second moments stand for the inputs themselves.
struct InputStatistics {
  std::map<std::string, at::Tensor> mean_sizes;  // mean |x| of every channel [channels]
  // (2 / n) sum x x^T [channels, channels]: of all tokens, at the sites that were asked for, and of
  // every (tokens / 512)-th token of the calibration data, at all sites.
  std::map<std::string, at::Tensor> moments;
  std::map<std::string, at::Tensor> sampled;
};

// One pass through the unit. Throws Error(kMethod) naming a site whose inputs are not finite.
InputStatistics input_statistics(const models::Network& network, const quant::UnitInputs& inputs,
                                 const std::set<std::string>& moment_sites);

}  // namespace assay::awq
