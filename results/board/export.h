#pragma once

#include <string>
#include <vector>

#include "results/store/reader.h"

namespace assay::results {

struct ExportOptions {
  bool timing = false;  // adds what differs between two runs of one sweep: timings and costs
  bool json = false;    // else CSV
};

// Canonical rows, one a figure, in the order of Reader::results(). Without `timing` the bytes
// depend on the results alone: not on slots, ranks, order, crashes, or how often and where the run
// was resumed. `cost`: view `cost`, used with `timing`.
std::string export_rows(const std::vector<ResultRow>& rows, const std::vector<CostRow>& cost,
                        const ExportOptions& options);

}  // namespace assay::results
