#pragma once

#include <cstdint>

namespace assay::train {

// Learning rate of step 0 .. steps - 1: linear from peak / warmup to `peak` over the first `warmup`
// steps, then half a cosine down to `final`, reached after the last step.
struct Schedule {
  std::int64_t steps = 1;
  std::int64_t warmup = 0;
  double peak = 1e-3;
  double final = 0;

  double at(std::int64_t step) const;
};

}  // namespace assay::train
