#include "methods/aespa/layers.h"

#include <ATen/ATen.h>

#include <algorithm>

#include "methods/aespa/rounding.h"
#include "methods/quant/columns.h"
#include "methods/quant/factor.h"
#include "methods/quant/grid_search.h"
#include "methods/quant/in_layer.h"
#include "methods/quant/zfold.h"

namespace assay::aespa {
namespace {

RoundingProblem problem_of(const LayerState& layer, const at::Tensor& compensated) {
  const at::Tensor step = quant::step_of_columns(layer.grid, layer.weight.size(-1));
  return {.weight = layer.weight,
          .base = compensated,
          .step = step,
          .zero = layer.grid.zero,
          .qmax = static_cast<double>(layer.grid.qmax()),
          .column = layer.column.size(0) == 1 ? layer.column[0] : layer.column,
          .row = layer.row};
}

// Alternation and learning go on in float64 whatever the network's precision: where they end is
// decided by differences that the rounding noise of a processor's products would swallow.
void widen(LayerState& layer) {
  const auto wide = [](at::Tensor& x) {
    if (x.defined()) x = x.to(at::kDouble);
  };
  wide(layer.weight), wide(layer.column), wide(layer.row);
  wide(layer.grid.scale), wide(layer.grid.zero), wide(layer.grid.zeta);
}

quant::LayerResult result_of(const LayerState& layer, const at::Tensor& code,
                             const at::Tensor& weight) {
  quant::LayerResult out{.loss = rounding_loss(problem_of(layer, layer.weight), code) / 2};
  quant::Grid grid = layer.grid;
  const at::ScalarType type = weight.scalar_type();
  grid.scale = grid.scale.reshape({weight.size(0), 1}).to(type);
  grid.zero = grid.zero.reshape({weight.size(0), 1}).to(type);
  if (grid.zeta.defined()) grid.zeta = grid.zeta.to(type);
  out.layer.code = code.reshape_as(weight).to(grid.bits <= 8 ? at::kByte : at::kInt);
  out.layer.grid = grid;
  out.weight = quant::decode(out.layer.code, grid);
  return out;
}

}  // namespace

LayerState start_layer(const quant::LayerMoments& moments, const at::Tensor& weight,
                       const Options& options) {
  const at::Tensor columns =
      moments.column.dim() == 2 ? moments.column.unsqueeze(0) : moments.column;
  const std::int64_t heads = moments.row.defined() ? moments.row.size(0) : columns.size(0);
  const at::Tensor by_head = weight.reshape({heads, weight.size(0) / heads, weight.size(1)});
  return {
      .name = moments.layer.name,
      .weight = by_head.masked_fill(quant::dead_inputs(columns).unsqueeze(1), 0),
      .column = quant::with_damping(quant::with_dead_repaired(columns, options.dead_value),
                                    options.damping),
      .row = moments.row,
      .grid = quant::find_grid(by_head, {.bits = options.bits, .symmetric = options.symmetric})};
}

void refine_grids(std::vector<LayerState>& layers,
                  const std::vector<std::vector<std::size_t>>& folded, const Options& options) {
  std::vector<bool> done(layers.size(), false);
  for (const std::vector<std::size_t>& group : folded) {
    std::vector<quant::FoldedLayer> states;
    for (const std::size_t i : group) {
      states.push_back({layers[i].weight, layers[i].column, layers[i].grid});
    }
    std::vector<quant::FoldedLayer*> pointers;
    for (quant::FoldedLayer& state : states) pointers.push_back(&state);
    const std::int64_t rounds = quant::fold_zeta(pointers, options.zfold_rounds);
    for (std::size_t k = 0; k < group.size(); ++k) {
      layers[group[k]].grid = states[k].grid;
      layers[group[k]].zfold_rounds = rounds;
      done[group[k]] = true;
    }
  }
  for (std::size_t i = 0; i < layers.size(); ++i) {
    if (done[i]) continue;
    layers[i].grid = quant::find_grid(layers[i].weight,
                                      {.bits = options.bits,
                                       .search = quant::RangeSearch::kHessian,
                                       .symmetric = options.symmetric},
                                      layers[i].column);
  }
}

at::Tensor compensated_weight(const LayerState& layer, const Options& options) {
  if (!options.pre_update) return layer.weight;
  const std::int64_t columns = layer.weight.size(-1);
  at::Tensor order = at::arange(columns, layer.weight.options().dtype(at::kLong)).unsqueeze(0);
  if (options.act_order) {
    order = at::argsort(at::diagonal(layer.column, 0, -2, -1), true, -1, true);
  }
  const auto along = [](const at::Tensor& x, const at::Tensor& index, std::int64_t dimension) {
    const at::Tensor wide = dimension == 1 ? index.unsqueeze(-1) : index.unsqueeze(-2);
    return at::take_along_dim(x, wide.expand(x.sizes()), dimension);
  };
  const at::Tensor step =
      quant::step_of_columns(layer.grid, columns).expand_as(layer.weight).contiguous();
  // One pair a column.
  const quant::Grid grid{.bits = layer.grid.bits,
                         .group = 1,
                         .scale = along(step, order, 2),
                         .zero = layer.grid.zero.expand_as(layer.weight)};
  const at::Tensor ordered = along(along(layer.column, order, 1), order, 2);
  const at::Tensor compensated =
      quant::gptq_columns(along(layer.weight, order, 2), quant::inverse_factor(ordered, layer.name),
                          grid)
          .compensated;
  return along(compensated, at::argsort(order), 2);
}

at::Tensor codes_of(const LayerState& layer, const at::Tensor& compensated, const Options& options,
                    const std::function<void(std::int64_t)>& stepped) {
  const RoundingProblem problem = problem_of(layer, compensated);
  if (!options.learn_rounding) {
    return at::clamp(at::round(problem.base / problem.step) + problem.zero, 0, problem.qmax);
  }
  const at::Tensor variable = learn_rounding(
      problem, {.iterations = options.iterations,
                .learning_rate = options.learning_rate,
                .weight = layer.attention ? options.lambda_qkv : options.lambda_other,
                .stepped = stepped});
  return rounded_codes(problem, variable);
}

std::map<std::string, quant::LayerResult> quantize_layers(
    const models::Network& network, const std::vector<quant::LayerMoments>& layers,
    const Options& options, const std::function<void(std::int64_t)>& stepped) {
  std::vector<LayerState> states;
  for (const quant::LayerMoments& each : layers) {
    const std::string& name = each.layer.name;
    states.push_back(quant::in_layer(name, [&] {
      return start_layer(each, network.parameters().at(name + ".weight"), options);
    }));
    states.back().attention = quant::projects_attention(network, each.layer);
    widen(states.back());
  }
  refine_grids(
      states,
      options.zfold ? quant::zeta_groups(network, layers) : std::vector<std::vector<std::size_t>>(),
      options);
  std::map<std::string, quant::LayerResult> results;
  for (const LayerState& state : states) {
    results[state.name] = quant::in_layer(state.name, [&] {
      const at::Tensor code = codes_of(state, compensated_weight(state, options), options, stepped);
      return result_of(state, code, network.parameters().at(state.name + ".weight"));
    });
  }
  return results;
}

}  // namespace assay::aespa
