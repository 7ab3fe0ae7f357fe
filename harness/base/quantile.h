#pragma once

#include <span>

namespace assay {

// The q-quantile of sorted values, 0 <= q <= 1, linear between order statistics. At least one
// value.
double quantile(std::span<const double> sorted, double q);

}  // namespace assay
