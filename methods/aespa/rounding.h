#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <functional>

// Rounding learned against second moments: AdaRound's variable (Nagel et al. 2020, arXiv
// 2004.10568) with aespa's objective (arXiv 2402.08958, equations 17 to 20), full batch.

namespace assay::aespa {

struct RoundingOptions {
  std::int64_t iterations = 2000;
  // Stops after so many of them; -1: after all, and no longer moves what is decided before.
  std::int64_t end = -1;
  double learning_rate = 0.015;
  double weight = 1;       // of the regulariser
  double warm_up = 0.2;    // part of the iterations before the regulariser sets in
  double start_beta = 20;  // its exponent falls from here ..
  double end_beta = 2;     // .. to here
  // After every iteration, or as many of them as some rows have done alone; may throw.
  std::function<void(std::int64_t done)> stepped = {};
};

// All [heads, rows, columns] unless said otherwise, of one dtype.
struct RoundingProblem {
  at::Tensor weight;  // the target
  at::Tensor base;    // what is rounded: down or up from here (the weight, or one that is updated)
  at::Tensor step;    // of the grid, broadcast to all
  at::Tensor zero;    // [heads, rows, 1]
  double qmax = 15;
  at::Tensor column;  // [columns, columns], or [heads, columns, columns]
  at::Tensor row;     // [heads, rows, rows], or undefined
};

// h(B) = clamp(1.2 sigmoid(B) - 0.1, 0, 1) and its inverse on [0, 1].
at::Tensor soft_rounding(const at::Tensor& variable);
at::Tensor inverse_soft_rounding(const at::Tensor& part);

// Minimises tr(row E column E^T) + weight * sum(1 - |2 h(B) - 1|^beta) by Adam, E the difference
// between the softly rounded weight and the target. Returns B; rounding is up where B >= 0.
at::Tensor learn_rounding(const RoundingProblem& problem, const RoundingOptions& options);

// Codes of the grid: clamp(floor(base / step) + [B >= 0] + zero, 0, qmax).
at::Tensor rounded_codes(const RoundingProblem& problem, const at::Tensor& variable);

// tr(row E column E^T), E = step (code - zero) - weight.
double rounding_loss(const RoundingProblem& problem, const at::Tensor& code);

}  // namespace assay::aespa
