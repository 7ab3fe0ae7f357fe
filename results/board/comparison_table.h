#pragma once

#include <string>
#include <vector>

#include "results/board/compare.h"
#include "results/board/table.h"

namespace assay::results {

// `seeds_drawn`: the interval was made over seeds too.
Table comparison_table(const std::string& left_label, const std::string& right_label,
                       const std::vector<Comparison>& comparisons, bool seeds_drawn,
                       const BootstrapOptions& options);

}  // namespace assay::results
