#include "methods/nf4/rounding.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <optional>

#include "harness/base/error.h"
#include "methods/quant/finished_layers.h"
#include "methods/quant/in_layer.h"

namespace assay::nf4 {
namespace {

bool is_rounded(const models::Network& network, const models::Layer& layer) {
  return network.info().task != models::Task::kLanguage ||
         (layer.unit >= 0 && layer.unit < network.unit_count());
}

// [1, blocks]
at::Tensor largest_of_blocks(const at::Tensor& matrix, std::int64_t block) {
  const std::int64_t blocks = quant::block_count(matrix.numel(), block);
  const at::Tensor padded =
      at::constant_pad_nd(matrix.reshape({-1}).abs(), {0, blocks * block - matrix.numel()});
  return padded.reshape({blocks, block}).amax({1}).unsqueeze(0);
}

at::Tensor scales_of_blocks(const at::Tensor& matrix, const Options& options) {
  const at::Tensor largest = largest_of_blocks(matrix, options.block);
  const at::Tensor empty = largest == 0;
  double other = 1;
  if (options.double_quantization && !empty.all().item<bool>()) {
    other = largest.masked_select(empty.logical_not()).mean(at::kDouble).item<double>();
  }
  return largest.masked_fill(empty, other);
}

}  // namespace

at::Tensor levels(at::ScalarType type) {
  return at::tensor({-1.0, -0.6961928, -0.52507305, -0.39491749, -0.28444138, -0.18477343,
                     -0.09105004, 0.0, 0.0795803, 0.1609302, 0.2461123, 0.33791524, 0.44070983,
                     0.562617, 0.72295684, 1.0},
                    at::kDouble)
      .to(type);
}

quant::QuantizedLayer rounded(const at::Tensor& weight, const Options& options) {
  if (!weight.isfinite().all().item<bool>()) {
    throw Error(ErrorKind::kMethod, "the weight holds NaN or infinities");
  }
  const at::Tensor matrix = quant::as_matrix(weight);
  Options fitting = options;  // a block is no longer than the matrix
  fitting.block = std::min(options.block, matrix.numel());
  quant::Grid grid{.bits = kBits,
                   .group = fitting.block,
                   .scale = scales_of_blocks(matrix, fitting),
                   .levels = levels(weight.scalar_type()).to(weight.device())};
  std::optional<quant::CodedScales> scales;
  if (options.double_quantization) {
    scales = quant::coded_scales(grid.scale);
    grid.scale = quant::decode(*scales);
  }
  quant::QuantizedLayer layer = quant::quantized_layer(matrix, grid);
  layer.scales = scales;
  return layer;
}

quant::QuantizedModel rounded(const models::Network& network, const Options& options,
                              const std::filesystem::path& scratch) {
  quant::QuantizedModel model{.method = "nf4"};
  if (options.weight_bits == kFloatBits) return model;
  quant::FinishedLayers finished(scratch);
  for (const models::Layer& layer : network.layers()) {
    if (!is_rounded(network, layer)) continue;
    model.layers[layer.name] =
        finished.put(layer.name, quant::in_layer(layer.name, [&] {
                       return rounded(network.parameters().value(layer.name + ".weight"), options);
                     }));
  }
  return model;
}

}  // namespace assay::nf4
