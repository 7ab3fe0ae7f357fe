#include "methods/aespa/layers.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include "methods/gptq/layer.h"

namespace assay::aespa {
namespace {

at::Tensor moments_of(std::int64_t n) {
  const at::Tensor x =
      at::matmul(at::randn({n, n}, at::kDouble), at::randn({n, 4 * n}, at::kDouble));
  return at::matmul(x, x.t()) / static_cast<double>(n);
}

quant::LayerMoments moments_named(const std::string& name, std::int64_t n) {
  return {.layer = {.name = name}, .column = moments_of(n)};
}

TEST(AespaLayers, without_its_own_steps_it_is_gptq_on_the_searched_grid) {
  at::manual_seed(1);
  const quant::LayerMoments moments = moments_named("fc1", 16);
  const at::Tensor weight = at::randn({6, 16}, at::kDouble);
  const Options options{.bits = 3, .learn_rounding = false};
  std::vector<LayerState> layers = {start_layer(moments, weight, options)};
  refine_grids(layers, {}, options);
  const at::Tensor code = codes_of(layers[0], compensated_weight(layers[0], options), options, {});
  const quant::LayerResult gptq = gptq::quantize_layer(weight, moments.column,
                                                       {.bits = 3,
                                                        .grid = quant::RangeSearch::kHessian,
                                                        .act_order = true,
                                                        .dead_value = options.dead_value},
                                                       "fc1");
  EXPECT_TRUE(code[0].equal(gptq.layer.code.to(at::kDouble)));
  EXPECT_TRUE(layers[0].grid.scale.reshape({6, 1}).equal(gptq.layer.grid.scale));
  // And without the column loop round to nearest on that grid.
  Options nearest = options;
  nearest.pre_update = false;
  const at::Tensor rounded =
      codes_of(layers[0], compensated_weight(layers[0], nearest), nearest, {});
  EXPECT_TRUE(rounded.equal(quant::encode(layers[0].weight, layers[0].grid)));
}

}  // namespace
}  // namespace assay::aespa
