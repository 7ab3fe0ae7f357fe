#include "methods/zfold/layers.h"

#include <ATen/ATen.h>

#include <cstddef>

#include "methods/quant/columns.h"
#include "methods/quant/factor.h"
#include "methods/quant/grid_search.h"
#include "methods/quant/in_layer.h"
#include "methods/quant/zfold.h"

namespace assay::zfold {
namespace {

// Columns of everything in the order of the loop.
struct LayerState {
  std::string name;
  at::Tensor order;  // position in the loop -> column of the weight
  quant::FoldedLayer folded;
};

quant::RangeSearch search_of(const Options& options) {
  return options.hessian ? quant::RangeSearch::kHessian : quant::RangeSearch::kMinMax;
}

// With the start grid: min-max by row, dead inputs included.
LayerState start_layer(const quant::LayerMoments& moments, const at::Tensor& weight,
                       const Options& options) {
  const at::Tensor repaired = quant::with_dead_repaired(moments.column, options.dead_value);
  const at::Tensor damped = quant::with_damping(repaired, options.damping);
  at::Tensor order = at::arange(weight.size(1), weight.options().dtype(at::kLong));
  if (options.act_order) {
    order = at::argsort(at::diagonal(repaired), /*stable=*/true, 0, /*descending=*/true);
  }
  const at::Tensor alive = weight.masked_fill(quant::dead_inputs(moments.column), 0);
  const quant::GridOptions start{.bits = options.bits, .symmetric = options.symmetric};
  return {.name = moments.layer.name,
          .order = order,
          .folded = {.weight = alive.index_select(1, order).unsqueeze(0),
                     .column = damped.index_select(0, order).index_select(1, order).unsqueeze(0),
                     .grid = quant::find_grid(weight.unsqueeze(0), start)}};
}

// Those of one input have one order of columns, so zeta fits them all.
void share_zeta(std::vector<LayerState>& layers, const std::vector<std::size_t>& group,
                const Options& options) {
  std::vector<quant::FoldedLayer*> folded;
  for (const std::size_t i : group) folded.push_back(&layers[i].folded);
  quant::fold_zeta(folded, options.zfold_rounds, search_of(options));
  if (folded.size() == 1) return;
  for (quant::FoldedLayer* each : folded) {
    each->grid = quant::folded_grid(*each, each->grid.zeta, search_of(options));
  }
}

void search_grids(std::vector<LayerState>& layers,
                  const std::vector<std::vector<std::size_t>>& groups, const Options& options) {
  for (const std::vector<std::size_t>& group : groups) share_zeta(layers, group, options);
  for (LayerState& layer : layers) {
    quant::Grid& grid = layer.folded.grid;
    if (grid.zeta.defined()) continue;
    grid = quant::find_grid(
        layer.folded.weight,
        {.bits = options.bits, .search = search_of(options), .symmetric = options.symmetric},
        layer.folded.column);
  }
}

quant::LayerResult rounded(const LayerState& layer) {
  const quant::ColumnResult loop = quant::gptq_columns(
      layer.folded.weight, quant::inverse_factor(layer.folded.column, layer.name),
      layer.folded.grid);
  const at::Tensor back = at::argsort(layer.order);  // column of the weight -> position in the loop
  quant::LayerResult out{.loss = loop.loss};
  quant::Grid& grid = out.layer.grid = layer.folded.grid;
  grid.scale = grid.scale[0];
  grid.zero = grid.zero[0];
  if (grid.zeta.defined()) grid.zeta = grid.zeta.index_select(0, back);
  out.layer.code = loop.code[0].index_select(1, back).to(grid.bits <= 8 ? at::kByte : at::kInt);
  out.weight = quant::decode(out.layer.code, grid);
  return out;
}

}  // namespace

std::map<std::string, quant::LayerResult> quantize_layers(
    const models::Network& network, const std::vector<quant::LayerMoments>& layers,
    const Options& options) {
  std::vector<LayerState> states;
  for (const quant::LayerMoments& each : layers) {
    const std::string& name = each.layer.name;
    states.push_back(quant::in_layer(name, [&] {
      return start_layer(each, network.parameters().at(name + ".weight"), options);
    }));
  }
  std::vector<std::vector<std::size_t>> groups;
  if (options.zfold) groups = quant::zeta_groups(network, layers);
  search_grids(states, groups, options);
  std::map<std::string, quant::LayerResult> results;
  for (const LayerState& state : states) {
    results[state.name] = quant::in_layer(state.name, [&] { return rounded(state); });
  }
  return results;
}

}  // namespace assay::zfold
