#include "methods/aespa/zfold.h"

#include <ATen/ATen.h>

#include <utility>

#include "methods/quant/grid_search.h"

namespace assay::aespa {
namespace {

double loss_of(const FoldedLayer& layer, const quant::Grid& grid) {
  const at::Tensor difference = quant::fake_quantize(layer.weight, grid) - layer.weight;
  return (at::matmul(difference, layer.column) * difference).sum(at::kDouble).item<double>();
}

// zeta_j = <What_j, W_j> / <What_j, What_j> over the rows of all layers, What = the rounded weight
// / zeta without its factor. A zero becomes 1.
at::Tensor fitted_zeta(const std::vector<FoldedLayer*>& layers, const at::Tensor& zeta) {
  constexpr double kTiny = 1e-10;
  at::Tensor product = at::zeros_like(zeta), norm = at::zeros_like(zeta);
  for (const FoldedLayer* layer : layers) {
    quant::Grid plain = layer->grid;
    plain.zeta = at::Tensor();
    const at::Tensor rounded = quant::fake_quantize(layer->weight / zeta, plain);
    product += (rounded * layer->weight).sum({0, 1});
    norm += rounded.square().sum({0, 1});
  }
  const at::Tensor fitted = product / (norm + kTiny);
  return at::where(fitted == 0, at::ones_like(fitted), fitted);
}

quant::Grid searched_grid(const FoldedLayer& layer, const at::Tensor& zeta) {
  const at::Tensor moments = zeta.unsqueeze(-1) * layer.column * zeta.unsqueeze(0);
  quant::Grid grid = quant::find_grid(layer.weight / zeta,
                                      {.bits = layer.grid.bits,
                                       .search = quant::RangeSearch::kHessian,
                                       .symmetric = layer.grid.symmetric},
                                      moments);
  grid.zeta = zeta;
  return grid;
}

}  // namespace

std::int64_t fold_zeta(const std::vector<FoldedLayer*>& layers, std::int64_t rounds) {
  const at::Tensor& like = layers.front()->weight;
  at::Tensor zeta = at::ones({like.size(-1)}, like.options());
  double best = 0;
  for (FoldedLayer* layer : layers) {
    layer->grid.zeta = zeta;
    best += loss_of(*layer, layer->grid);
  }
  for (std::int64_t round = 0; round < rounds; ++round) {
    zeta = fitted_zeta(layers, zeta);
    std::vector<quant::Grid> grids;
    double loss = 0;
    for (const FoldedLayer* layer : layers) {
      grids.push_back(searched_grid(*layer, zeta));
      loss += loss_of(*layer, grids.back());
    }
    if (loss > best) return round;
    best = loss;
    for (std::size_t i = 0; i < layers.size(); ++i) layers[i]->grid = std::move(grids[i]);
  }
  return rounds;
}

}  // namespace assay::aespa
