#include "methods/quant/quantized_model.h"

#include <ATen/ATen.h>
#include <fmt/format.h>

#include <utility>

#include "harness/base/error.h"

namespace assay::quant {
namespace {

// In the dtype and on the device of the network.
models::Prefix fitted(const models::Prefix& prefix, const models::Network& network) {
  const auto like = at::TensorOptions().dtype(network.dtype()).device(network.device());
  std::vector<models::KeyValues> units = prefix.units();
  for (models::KeyValues& pair : units) {
    pair = {pair.keys.to(like), pair.values.to(like)};
  }
  return models::Prefix(std::move(units));
}

// Bits of a zero point: those of a code, or 32 where one of them is none.
std::int64_t zero_bits(const Grid& grid) {
  const bool fit = grid.zero.ge(0).logical_and(grid.zero.le(grid.qmax())).all().item<bool>();
  return fit ? grid.bits : 32;
}

// The weight that a layer stands for, [out, in] or a convolution.
at::Tensor weight_of(const QuantizedLayer& layer, at::IntArrayRef shape, at::ScalarType type) {
  return decode(layer.code, layer.grid).reshape(shape).to(type);
}

}  // namespace

StorageCost storage_cost(const QuantizedLayer& layer) {
  constexpr std::int64_t kScaleBits = 16, kPermBits = 32, kZetaBits = 16, kLevelBits = 32;
  const Grid& grid = layer.grid;
  StorageCost cost{.weights = layer.code.numel(), .bits = layer.code.numel() * grid.bits};
  cost.bits += layer.scales ? storage_bits(*layer.scales) : grid.scale.numel() * kScaleBits;
  if (grid.zero.defined() && !grid.symmetric) {
    cost.bits += grid.zero.numel() * zero_bits(grid);
  }
  if (grid.levels.defined()) cost.bits += grid.levels.numel() * kLevelBits;
  if (grid.perm.defined()) cost.bits += grid.perm.numel() * kPermBits;
  if (grid.zeta.defined()) cost.bits += grid.zeta.numel() * kZetaBits;
  return cost;
}

StorageCost storage_cost(const QuantizedModel& model) {
  StorageCost all;
  for (const auto& [name, layer] : model.layers) {
    const StorageCost cost = storage_cost(layer);
    all.weights += cost.weights;
    all.bits += cost.bits;
  }
  return all;
}

void apply_layer(const std::string& name, const QuantizedLayer& layer, models::Network& network) {
  const std::string parameter = name + ".weight";
  if (!network.parameters().contains(parameter)) {
    throw Error(
        ErrorKind::kData,
        fmt::format("quantized layer '{}' is not in this {} network", name, network.info().family),
        {{"layer", name}});
  }
  models::ParameterTable& parameters = network.parameters();
  const std::vector<std::int64_t> shape = parameters.shape(parameter).sizes().vec();
  const at::ScalarType type = parameters.shape(parameter).scalar_type();
  const std::int64_t values = parameters.shape(parameter).numel();
  if (shape.front() != layer.code.size(0) || values != layer.code.numel()) {
    throw Error(ErrorKind::kData,
                fmt::format("quantized layer '{}' is [{}, {}], but the network's weight has {} "
                            "rows and {} values",
                            name, layer.code.size(0), layer.code.size(1), shape.front(), values),
                {{"layer", name}});
  }
  if (!parameters.may_defer(parameter)) {
    parameters.at(parameter) = weight_of(layer, shape, type).to(network.device());
    return;
  }
  parameters.defer(parameter, type, [layer, shape, type] {
    at::Tensor weight = weight_of(layer, shape, type);
    drop_pages(layer);
    return weight;
  });
}

void replace_parameters(const std::map<std::string, at::Tensor>& parameters,
                        models::Network& network) {
  for (const auto& [name, value] : parameters) {
    if (!network.parameters().contains(name)) {
      throw Error(ErrorKind::kData, fmt::format("parameter '{}' is not in this {} network", name,
                                                network.info().family));
    }
    at::Tensor& parameter = network.parameters().at(name);
    if (value.sizes() != parameter.sizes()) {
      throw Error(ErrorKind::kData,
                  fmt::format("parameter '{}' is {}, but that of the network is {}", name,
                              c10::str(value.sizes()), c10::str(parameter.sizes())));
    }
    parameter = value.to(parameter.options(), /*non_blocking=*/false, /*copy=*/true);
  }
}

void scale_channels(const models::ScaleGroup& group, const at::Tensor& factors,
                    models::Network& network) {
  const std::string& first = group.layers.front();
  models::ParameterTable& parameters = network.parameters();
  for (const std::string& layer : group.layers) {
    const at::Tensor& weight = parameters.shape(layer + ".weight");
    if (factors.dim() != 1 || factors.size(0) != weight.size(1) ||
        !factors.isfinite().all().item<bool>() || !factors.gt(0).all().item<bool>()) {
      throw Error(ErrorKind::kData,
                  fmt::format("the channel scales of layer '{}' are not {} factors above 0", first,
                              weight.size(1)),
                  {{"layer", first}});
    }
    parameters.update(layer + ".weight", weight.scalar_type(), [factors](const at::Tensor& value) {
      return value * factors.to(value.options());
    });
  }
  for (const std::string& name : group.producers) {
    const at::ScalarType type = parameters.shape(name).scalar_type();
    parameters.update(name, type, [factors](const at::Tensor& value) {
      const at::Tensor divisor = factors.to(value.options());
      return value.dim() == 1 ? value / divisor : value / divisor.unsqueeze(1);
    });
  }
}

std::unique_ptr<models::Tap> apply(const QuantizedModel& model, models::Network& network) {
  std::size_t scaled = 0;
  for (const models::ScaleGroup& group : network.scale_groups()) {
    const auto found = model.channel_scales.find(group.layers.front());
    if (found == model.channel_scales.end()) continue;
    scale_channels(group, found->second, network);
    ++scaled;
  }
  if (scaled != model.channel_scales.size()) {
    throw Error(ErrorKind::kData,
                fmt::format("the channels of a layer are scaled that starts no group of this {} "
                            "network, '{}' the first of {}",
                            network.info().family, model.channel_scales.begin()->first,
                            model.channel_scales.size()));
  }
  replace_parameters(model.parameters, network);
  for (const auto& [name, layer] : model.layers) apply_layer(name, layer, network);
  if (!model.prefix.empty()) network.set_prefix(fitted(model.prefix, network));
  if (model.activations.empty()) return std::make_unique<models::Untapped>();
  return std::make_unique<ActivationTap>(model.activations);
}

std::unique_ptr<models::Tap> apply_quantized(models::Network& network,
                                             const std::filesystem::path& folder) {
  return apply(load_quantized(folder), network);
}

QuantizedLayer quantized_layer(const at::Tensor& weight, Grid grid) {
  at::Tensor code = encode(as_matrix(weight), grid);
  return {code.to(grid.bits <= 8 ? at::kByte : at::kInt), std::move(grid)};
}

}  // namespace assay::quant
