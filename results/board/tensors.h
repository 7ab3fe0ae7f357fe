#pragma once

#include "results/board/table.h"

namespace assay::results {

// How the tensors of a network are stored, from the member `tensors` of its stage's result: one row
// for those that are stored alike, or one for each. No rows if the stage does not say.
Table tensor_summary(const Json& result);
Table tensor_table(const Json& result);

}  // namespace assay::results
