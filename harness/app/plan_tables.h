#pragma once

#include <vector>

#include "harness/plan/summary.h"
#include "harness/run/plan_inspection.h"
#include "results/board/table.h"

namespace assay::app {

// What `assay plan` prints: what the sweep reads, its stages with what they will take, its trials
// (at most `max_trials`), what is left out.
std::vector<results::Table> plan_tables(const plan::PlanSummary& summary,
                                        const run::InputFacts& facts, std::size_t max_trials = 50);

}  // namespace assay::app
