#pragma once

#include <vector>

#include "results/board/rows.h"
#include "results/board/table.h"

namespace assay::results {

struct BoardOptions {
  bool each_seed = false;  // a row a trial instead of mean and deviation over seeds
};

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

// Leaderboards: one table for each primary figure, protocol fingerprint and protocol of
// quantization, so that rows of different protocols never share one. What a method tells of its
// network (bits per weight, bytes, float layers) is columns. Within a table: by model, best first.
// Repeats with other seeds are one row with mean, sample standard deviation and their number. `cost
// s` is the seconds that a row's stages took, shared stages split over the trials that share them.
// Timings are columns; one that was measured of rows that no other table shows gets a table, too.
std::vector<Table> board(const std::vector<RunResults>& runs, const BoardOptions& options = {});

}  // namespace assay::results
