#pragma once

#include <ATen/core/Tensor.h>

#include <cstddef>
#include <cstdint>
#include <vector>

#include "harness/models/network.h"
#include "methods/quant/grid.h"
#include "methods/quant/grid_search.h"
#include "methods/quant/layer_moments.h"

// Z-Fold: grids with a factor of the column, W ~ diag(scale) (code - zero) diag(zeta), which layers
// that read one input share. Source: Jeon et al., "A frustratingly easy post-training quantization
// scheme for LLMs", EMNLP 2023, which aespa (arXiv 2402.08958) uses, too.

namespace assay::quant {

// Whether the layer is q, k or v of its unit's attention.
bool projects_attention(const models::Network& network, const models::Layer& layer);

// Indices into `layers`, those of one pass, of the layers that share a zeta: q, k and v, and each
// alone whose inputs can be scaled channel by channel by what stands before it
// (models::ScaleGroup), which is where a zeta can be folded into. Layers in no group have none.
std::vector<std::vector<std::size_t>> zeta_groups(const models::Network& network,
                                                  const std::vector<LayerMoments>& layers);

struct FoldedLayer {
  at::Tensor weight;  // [heads, rows, columns], columns of dead inputs are 0
  at::Tensor column;  // second moments, repaired and damped, [heads or 1, columns, columns]
  Grid grid;          // in: the start grid; out: the grid of weight / zeta, with zeta in it
};

// The grid of weight / zeta, of the bits and symmetry of layer.grid, with zeta [columns] in it.
// `search`: by the moments that weight / zeta meets, or kMinMax.
Grid folded_grid(const FoldedLayer& layer, const at::Tensor& zeta,
                 RangeSearch search = RangeSearch::kHessian);

// Alternates, at most `rounds` times, between zeta by least squares over the rows of all layers and
// the folded_grid of every layer, until the sum of tr(dW column dW^T) over the layers grows; the
// last grids that did not are kept. Returns how many rounds were kept. Once the rounds are almost
// alike, rounding noise decides where it stops (methods/aespa/README.md).
std::int64_t fold_zeta(const std::vector<FoldedLayer*>& layers, std::int64_t rounds,
                       RangeSearch search = RangeSearch::kHessian);

}  // namespace assay::quant
