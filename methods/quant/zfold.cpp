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

// What the searches of a layer share, whatever zeta is.
struct Search {
  GridOptions options;
  SearchFactors factors;  // of layer.column
};

Search factored(const FoldedLayer& layer, RangeSearch search) {
  const GridOptions options{
      .bits = layer.grid.bits, .search = search, .symmetric = layer.grid.symmetric};
  return {options, search_factors(layer.column, options)};
}

// weight / zeta meets the moments diag(zeta) column diag(zeta), whose factor is diag(zeta) F.
Grid grid_over(const at::Tensor& zeta, const FoldedLayer& layer, const Search& search) {
  SearchFactors scaled = search.factors;
  for (at::Tensor& factor : scaled.of_group) factor = zeta.unsqueeze(-1) * factor;
  Grid grid = find_grid(layer.weight / zeta, search.options, scaled);
  grid.zeta = zeta;
  return grid;
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
  return grid_over(zeta, layer, factored(layer, search));
}

std::int64_t fold_zeta(const std::vector<FoldedLayer*>& layers, std::int64_t rounds,
                       RangeSearch search) {
  const at::Tensor& like = layers.front()->weight;
  at::Tensor zeta = at::ones({like.size(-1)}, like.options());
  double best = 0;
  std::vector<Search> searches;
  for (FoldedLayer* layer : layers) {
    searches.push_back(factored(*layer, search));
    layer->grid.zeta = zeta;
    best += loss_of(*layer, layer->grid);
  }
  for (std::int64_t round = 0; round < rounds; ++round) {
    zeta = fitted_zeta(layers, zeta);
    std::vector<Grid> grids;
    double loss = 0;
    for (std::size_t i = 0; i < layers.size(); ++i) {
      grids.push_back(grid_over(zeta, *layers[i], searches[i]));
      loss += loss_of(*layers[i], grids.back());
    }
    if (loss > best) return round;
    best = loss;
    for (std::size_t i = 0; i < layers.size(); ++i) layers[i]->grid = std::move(grids[i]);
  }
  return rounds;
}

}  // namespace assay::quant
