#pragma once

#include <cstdint>

// What learn_rounding does to every value of a weight, in two passes over memory around the matrix
// products of an iteration. Rows are shared among ATen's threads. float32 values of the exponential
// and the power are within 3e-6 of themselves.

namespace assay::aespa {

// Values are [rows, columns], row after row; `zero` is one a row.
template <typename T>
struct RoundingValues {
  std::int64_t rows, columns;
  const T *weight, *floor, *step, *zero;  // floor: base / step, rounded down
  T qmax;
  T* sigmoid;         // of B
  T* difference;      // softly rounded - weight, then its gradient
  T* variable;        // B
  T *first, *second;  // Adam's moments of B
};

struct AdamStep {
  double learning_rate = 0;
  std::int64_t number = 1;  // counted from 1
  double regularizer = 0;   // weight of the regulariser in this step
  double beta = 20;
};

// sigmoid = 1 / (1 + exp(-B)), difference = step (clamp(floor + h(B) + zero, 0, qmax) - zero) -
// weight
void soft_difference(const RoundingValues<float>& values);
void soft_difference(const RoundingValues<double>& values);

// Takes the gradient of the objective by the softly rounded weight from `difference`, adds that of
// the regulariser, and moves B.
void update_variable(const RoundingValues<float>& values, const AdamStep& step);
void update_variable(const RoundingValues<double>& values, const AdamStep& step);

}  // namespace assay::aespa
