#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <vector>

#include "harness/formats/philox.h"

namespace assay::models {

// CPU tensors drawn in element order from a counter-based stream: equal bits wherever they are
// made. Drawn in double and rounded once to `type`.
at::Tensor uniform_tensor(Philox& random, std::vector<std::int64_t> shape, double low, double high,
                          at::ScalarType type = at::kFloat);
at::Tensor normal_tensor(Philox& random, std::vector<std::int64_t> shape, double mean,
                         double deviation, at::ScalarType type = at::kFloat);

}  // namespace assay::models
