#pragma once

#include <string>
#include <vector>

#include "results/board/table.h"
#include "results/store/reader.h"

namespace assay::results {

// The figures that stages reported while they ran, one row for each series: its first, least,
// greatest and last value, and its shape. Programs get the points.
Table series_table(const std::vector<TrialStageSummary>& stages);

// One character, U+2581 to U+2588, for each of at most `width` spans of equally many values: the
// mean of the span between the least and the greatest mean. Values that are all equal are low.
// Example: sparkline({4, 2, 1}, 3) is "█▃▁".
std::string sparkline(const std::vector<double>& values, std::size_t width);

}  // namespace assay::results
