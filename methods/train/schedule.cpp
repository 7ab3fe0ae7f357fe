#include "methods/train/schedule.h"

#include <algorithm>
#include <cmath>
#include <numbers>

namespace assay::train {

double Schedule::at(std::int64_t step) const {
  if (step < warmup) return peak * static_cast<double>(step + 1) / static_cast<double>(warmup);
  const auto length = static_cast<double>(std::max<std::int64_t>(steps - warmup, 1));
  const double part = std::min(1.0, static_cast<double>(step - warmup) / length);
  return final + (peak - final) * 0.5 * (1 + std::cos(std::numbers::pi * part));
}

}  // namespace assay::train
