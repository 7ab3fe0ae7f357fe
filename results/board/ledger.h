#pragma once

#include <string>
#include <vector>

#include "results/board/rows.h"

namespace assay::results {

// What a run spent, and what sharing saved. Sums over the trials equal the sums over the stages.
struct Ledger {
  int executions = 0;       // in this run folder, failed ones included
  double paid_s = 0;        // of them
  double attributed_s = 0;  // of paid_s: for current trials; the rest is history
  double worth_s = 0;       // of all stages that current trials rest on, wherever they ran
  int avoided = 0;          // executions that sharing between trials made unnecessary
  double saved_s = 0;       // seconds of them
  int reused = 0;           // stages that came from the store
  double reused_s = 0;      // what they are worth
};

Ledger ledger_of(const std::vector<StageCostRow>& stages);

// The lines below a board that tell of a run: its trials by state, which of them failed, what
// stages noted, its ledger.
std::vector<std::string> run_notes(const RunResults& run);

}  // namespace assay::results
