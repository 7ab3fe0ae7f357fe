#pragma once

#include <ATen/core/Tensor.h>

#include "harness/models/network.h"

namespace assay::evaluate {

// Where a network's weights lie and in which type its activations are. A network without parameters
// counts as float32 on the CPU.
struct NetworkTraits {
  at::ScalarType dtype = at::kFloat;
  at::Device device = at::kCPU;
};

NetworkTraits traits_of(const models::Network& network);

}  // namespace assay::evaluate
