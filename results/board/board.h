#pragma once

#include <vector>

#include "results/board/rows.h"
#include "results/board/table.h"

namespace assay::results {

struct BoardOptions {
  bool each_seed = false;  // a row a trial instead of mean and deviation over seeds
};

// Leaderboards: one table for each primary figure, protocol fingerprint and protocol of
// quantization, so that rows of different protocols never share one. What a method tells of its
// network (bits per weight, bytes, float layers) is columns. Within a table: by model, best first.
// Repeats with other seeds are one row with mean, sample standard deviation and their number. `cost
// s` is the seconds that a row's stages took, shared stages split over the trials that share them.
// Timings are columns; one that was measured of rows that no other table shows gets a table, too.
std::vector<Table> board(const std::vector<RunResults>& runs, const BoardOptions& options = {});

}  // namespace assay::results
