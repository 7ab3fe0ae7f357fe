#include "methods/awq/unit_quantizer.h"

#include <ATen/ATen.h>

#include <map>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "methods/awq/clip_search.h"
#include "methods/awq/scale_search.h"
#include "methods/awq/statistics.h"
#include "methods/quant/in_layer.h"
#include "methods/quant/unit_layers.h"

namespace assay::awq {
namespace {

using Groups = std::vector<models::ScaleGroup>;
using Scales = std::map<std::string, at::Tensor>;

// Inputs of the layers that scale alone, which are inspected by themselves.
std::set<std::string> moment_sites(const models::Network& network, std::int64_t unit,
                                   const Groups& groups) {
  const std::vector<models::Layer> layers = quant::layers_of(network, unit);
  std::set<std::string> sites;
  for (const models::ScaleGroup& group : groups) {
    if (scales_alone(group)) {
      sites.insert(quant::layer_named(group.layers.front(), layers).input_site);
    }
  }
  return sites;
}

// Of the inputs of a layer once its channels are scaled.
at::Tensor rescaled(const at::Tensor& moments, const std::string& layer, const Groups& groups,
                    const Scales& scales) {
  for (const models::ScaleGroup& group : groups) {
    for (const std::string& each : group.layers) {
      if (each != layer) continue;
      const at::Tensor& s = scales.at(group.layers.front());
      return moments / s / s.unsqueeze(1);
    }
  }
  return moments;
}

// The error of a product of queries and keys does not follow from that of either.
bool is_clipped(const models::Network& network, const models::Layer& layer) {
  const std::optional<models::AttentionParts> parts = network.attention_parts(layer.unit);
  return !parts || (layer.name != parts->q && layer.name != parts->k);
}

double loss_of(const at::Tensor& weight, const quant::QuantizedLayer& layer,
               const at::Tensor& moments) {
  const at::Tensor delta = quant::decode(layer.code, layer.grid) - weight;
  return (at::matmul(delta, moments) * delta).sum(at::kDouble).item<double>() / 2;
}

quant::BlockWalkResult quantize_unit(models::Network& network, const quant::UnitInputs& inputs,
                                     const Options& options) {
  const Groups groups = options.scale ? quant::scale_groups_of(network, inputs.unit) : Groups();
  const InputStatistics statistics =
      input_statistics(network, inputs, moment_sites(network, inputs.unit, groups));
  quant::BlockWalkResult result;
  Scales& scales = result.model.channel_scales;
  for (const models::ScaleGroup& group : groups) {
    scales[group.layers.front()] =
        search_scales(network, inputs, group, statistics, options).factors;
  }
  for (const models::ScaleGroup& group : groups) {
    quant::scale_channels(group, scales.at(group.layers.front()), network);
  }
  for (const models::Layer& layer : quant::layers_of(network, inputs.unit)) {
    inputs.between_chunks();
    const at::Tensor& weight = network.parameters().at(layer.name + ".weight");
    const at::Tensor moments =
        rescaled(statistics.sampled.at(layer.input_site), layer.name, groups, scales);
    quant::QuantizedLayer quantized = quant::in_layer(layer.name, [&] {
      const at::Tensor rounded =
          options.clip && is_clipped(network, layer) ? clipped(weight, moments, options) : weight;
      return quant::quantized_layer(rounded, quant::find_grid(rounded, grid_of(options)));
    });
    result.losses[layer.name] = loss_of(weight, quantized, moments);
    result.model.layers.emplace(layer.name, std::move(quantized));
  }
  return result;
}

}  // namespace

quant::UnitQuantizer unit_quantizer(models::Network& network, const Options& options) {
  return [&network, options](const quant::UnitInputs& inputs) {
    return quantize_unit(network, inputs, options);
  };
}

}  // namespace assay::awq
