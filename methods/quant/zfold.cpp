#include "methods/quant/zfold.h"

#include <ATen/ATen.h>

#include <optional>
#include <string>
#include <utility>

namespace assay::quant {
namespace {

double loss_of(const FoldedLayer& layer, const Grid& grid) {
  const at::Tensor difference = fake_quantize(layer.weight, grid) - layer.weight;
  return (at::matmul(difference, layer.column) * difference).sum(at::kDouble).item<double>();
}

// zeta_j = <What_j, W_j> / <What_j, What_j> over the rows of all layers, What = the rounded weight
// / zeta without its factor. A zero becomes 1.
at::Tensor fitted_zeta(const std::vector<FoldedLayer*>& layers, const at::Tensor& zeta) {
  constexpr double kTiny = 1e-10;
  at::Tensor product = at::zeros_like(zeta), norm = at::zeros_like(zeta);
  for (const FoldedLayer* layer : layers) {
    Grid plain = layer->grid;
    plain.zeta = at::Tensor();
    const at::Tensor rounded = fake_quantize(layer->weight / zeta, plain);
    product += (rounded * layer->weight).sum({0, 1});
    norm += rounded.square().sum({0, 1});
  }
  const at::Tensor fitted = product / (norm + kTiny);
  return at::where(fitted == 0, at::ones_like(fitted), fitted);
}

// Whether what stands before a single layer can scale its inputs back: folding needs no more.
bool folds_alone(const models::Network& network, const std::string& layer) {
  for (const models::ScaleGroup& group : network.scale_groups()) {
    if (group.layers.size() == 1 && group.layers.front() == layer) return true;
  }
  return false;
}

}  // namespace

bool projects_attention(const models::Network& network, const models::Layer& layer) {
  const std::optional<models::AttentionParts> parts = network.attention_parts(layer.unit);
  return parts && (layer.name == parts->q || layer.name == parts->k || layer.name == parts->v);
}

std::vector<std::vector<std::size_t>> zeta_groups(const models::Network& network,
                                                  const std::vector<LayerMoments>& layers) {
  std::vector<std::vector<std::size_t>> groups(1);
  for (std::size_t i = 0; i < layers.size(); ++i) {
    if (projects_attention(network, layers[i].layer)) groups.front().push_back(i);
    if (folds_alone(network, layers[i].layer.name)) groups.push_back({i});
  }
  if (groups.front().empty()) groups.erase(groups.begin());
  return groups;
}

Grid folded_grid(const FoldedLayer& layer, const at::Tensor& zeta, RangeSearch search) {
  const at::Tensor moments = zeta.unsqueeze(-1) * layer.column * zeta.unsqueeze(0);
  Grid grid = find_grid(
      layer.weight / zeta,
      {.bits = layer.grid.bits, .search = search, .symmetric = layer.grid.symmetric}, moments);
  grid.zeta = zeta;
  return grid;
}

std::int64_t fold_zeta(const std::vector<FoldedLayer*>& layers, std::int64_t rounds,
                       RangeSearch search) {
  const at::Tensor& like = layers.front()->weight;
  at::Tensor zeta = at::ones({like.size(-1)}, like.options());
  double best = 0;
  for (FoldedLayer* layer : layers) {
    layer->grid.zeta = zeta;
    best += loss_of(*layer, layer->grid);
  }
  for (std::int64_t round = 0; round < rounds; ++round) {
    zeta = fitted_zeta(layers, zeta);
    std::vector<Grid> grids;
    double loss = 0;
    for (const FoldedLayer* layer : layers) {
      grids.push_back(folded_grid(*layer, zeta, search));
      loss += loss_of(*layer, grids.back());
    }
    if (loss > best) return round;
    best = loss;
    for (std::size_t i = 0; i < layers.size(); ++i) layers[i]->grid = std::move(grids[i]);
  }
  return rounds;
}

}  // namespace assay::quant
