#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <vector>

#include "methods/quant/grid.h"

// Z-Fold: grids with a factor of the column, W ~ diag(scale) (code - zero) diag(zeta), which layers
// that read one input share. Source: Jeon et al., "A frustratingly easy post-training quantization
// scheme for LLMs", EMNLP 2023, as aespa (arXiv 2402.08958) uses it.

namespace assay::aespa {

struct FoldedLayer {
  at::Tensor weight;  // [heads, rows, columns], columns of dead inputs are 0
  at::Tensor column;  // second moments, repaired and damped, [heads or 1, columns, columns]
  quant::Grid grid;   // in: the start grid; out: the grid of weight / zeta, with zeta in it
};

// Alternates, at most `rounds` times, between zeta by least squares over the rows of all layers and
// a search of every layer's grid by its moments, until the sum of tr(dW column dW^T) over the
// layers grows; the last grids that did not are kept. Returns how many rounds were kept. Once the
// rounds are almost alike, rounding noise decides where it stops (README.md).
std::int64_t fold_zeta(const std::vector<FoldedLayer*>& layers, std::int64_t rounds);

}  // namespace assay::aespa
