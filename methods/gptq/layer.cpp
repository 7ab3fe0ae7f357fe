#include "methods/gptq/layer.h"

#include <ATen/ATen.h>

#include "methods/quant/factor.h"

namespace assay::gptq {
namespace {

quant::GridOptions grid_options(const Options& options) {
  return {
      .bits = options.bits,
      .search = options.grid,
      .granularity = options.group < 0 ? quant::Granularity::kChannel : quant::Granularity::kGroup,
      .group = options.group,
      .symmetric = options.symmetric};
}

}  // namespace

quant::LayerResult quantize_layer(const at::Tensor& weight, const at::Tensor& hessian,
                                  const Options& options, const std::string& name) {
  at::Tensor damped = quant::with_dead_repaired(hessian, options.dead_value);
  const at::Tensor importance = at::diagonal(damped).clone();
  damped = quant::with_damping(damped, options.damping);
  const at::Tensor alive_weight = weight.masked_fill(quant::dead_inputs(hessian), 0);
  const at::Tensor search_hessian =
      options.grid == quant::RangeSearch::kHessian ? damped : at::Tensor();
  const bool grouped = options.group >= 0, dynamic = grouped && !options.static_groups;

  quant::Grid grid;
  if (!dynamic) {
    // As the release: the grid of a row sees the dead columns, that of a group does not. A search
    // by moments scores dead columns by what the loop will find there, which is 0.
    const bool alive = grouped || search_hessian.defined();
    grid = quant::find_grid(alive ? alive_weight : weight, grid_options(options), search_hessian);
  }
  at::Tensor perm = at::arange(weight.size(1), at::kLong);
  if (options.act_order) {
    perm = at::argsort(importance, /*stable=*/true, 0, /*descending=*/true).cpu();
  }
  const at::Tensor order = perm.to(weight.device());
  const at::Tensor back = at::argsort(perm);  // column of the weight -> position in the loop
  if (options.act_order) damped = damped.index_select(0, order).index_select(1, order);
  const at::Tensor& ordered_hessian = damped;

  quant::ColumnOptions loop{.block = options.block, .source = options.source};
  if (dynamic) {
    loop.dynamic = grid_options(options);
    if (search_hessian.defined()) loop.hessian = ordered_hessian;
  }
  quant::Grid loop_grid = grid;
  if (options.act_order && grouped && !dynamic) loop_grid.perm = back;
  const quant::ColumnResult result =
      quant::gptq_columns(alive_weight.index_select(1, order),
                          quant::inverse_factor(ordered_hessian, name), loop_grid, loop);

  if (dynamic) {
    grid = result.grid;
    if (options.act_order) grid.perm = perm;
  }
  quant::LayerResult out{.loss = result.loss};
  out.layer.code = result.code.index_select(1, back.to(weight.device()))
                       .to(options.bits <= 8 ? at::kByte : at::kInt);
  out.layer.grid = grid;
  out.weight = quant::decode(out.layer.code, grid);
  return out;
}

}  // namespace assay::gptq
