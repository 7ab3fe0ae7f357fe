#pragma once

#include <vector>

#include "results/board/table.h"
#include "results/store/reader.h"

// What the figures of a trial rest on: the files behind them, and the protocols.

namespace assay::results {

// The files of models, tokenizers and data that the recipes of these stages name, with their
// SHA-256, each once.
Table inputs_table(const std::vector<TrialStageSummary>& stages);

// The fields of each protocol that these figures were measured under; `rows` are of one trial.
Table protocols_table(Reader& reader, const std::vector<ResultRow>& rows);

}  // namespace assay::results
