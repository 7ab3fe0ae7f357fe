#pragma once

#include <cstdint>
#include <vector>

#include "methods/aespa/rounding_loops.h"

// The late iterations of learn_rounding. A value is decided once h(B) stands at 0 or 1 so far
// beyond the end that Adam's momentum cannot bring it back: it has no gradient from then on, and
// its rounding no longer changes. Once half of the values are decided, iterations over the others
// alone, row by row, cost a fraction of those over the whole matrix and end with the same codes.

namespace assay::aespa {

struct UndecidedCount {
  std::int64_t all = 0;
  std::int64_t most = 0;  // of a row
};

// `next`: the step to come.
UndecidedCount count_undecided(const RoundingValues<float>& values, const AdamStep& next);
UndecidedCount count_undecided(const RoundingValues<double>& values, const AdamStep& next);

// Rows whose loss is e column e^T each: what is left to do.
template <typename T>
struct RemainingRows {
  RoundingValues<T> values;     // as the last iteration left them
  const T* column;              // second moments, symmetric, [columns, columns] of the first rows
  std::int64_t rows_of_matrix;  // so many rows share a matrix; the next ones have the next one
  std::vector<AdamStep> steps;  // the iterations to come
};

// Does them for rows first .. last - 1. Afterwards B has the sign that it would have; its size is
// that of the moment when it was decided.
void finish_rows(const RemainingRows<float>& remaining, std::int64_t first, std::int64_t last);
void finish_rows(const RemainingRows<double>& remaining, std::int64_t first, std::int64_t last);

}  // namespace assay::aespa
