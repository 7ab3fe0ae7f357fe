#include "methods/omniquant/transformation.h"

#include <ATen/ATen.h>

#include <algorithm>

#include "methods/quant/unit_layers.h"

namespace assay::omniquant {
namespace {

constexpr double kSmallestScale = 1e-2;

bool is_bias(const std::string& parameter) { return parameter.ends_with(".bias"); }

// A group's inputs may be shifted: something before it subtracts, every layer behind it adds.
bool takes_shift(const models::Network& network, const models::ScaleGroup& group) {
  return std::any_of(group.producers.begin(), group.producers.end(), is_bias) &&
         std::all_of(group.layers.begin(), group.layers.end(), [&](const std::string& layer) {
           return network.parameters().contains(layer + ".bias");
         });
}

void change_layer(const std::string& layer, const ChannelChange& change, Parameters& parameters) {
  at::Tensor& weight = parameters.at(layer + ".weight");
  if (change.shift.defined()) {
    at::Tensor& bias = parameters.at(layer + ".bias");
    bias = bias + at::matmul(weight, change.shift);
  }
  weight = weight * change.scale;
}

void change_producer(const std::string& name, const ChannelChange& change, Parameters& parameters) {
  at::Tensor& parameter = parameters.at(name);
  if (change.shift.defined() && is_bias(name)) parameter = parameter - change.shift;
  parameter = parameter / (parameter.dim() == 1 ? change.scale : change.scale.unsqueeze(1));
}

// [kv_heads, channels] -> one value for every row of the queries' or of the keys' weight.
at::Tensor over_rows(const at::Tensor& head_scale, std::int64_t repeats,
                     const models::AttentionParts& parts) {
  // Channels j and j + head_dim / 2 turn together.
  const at::Tensor whole = parts.rotary.empty() ? head_scale : at::cat({head_scale, head_scale}, 1);
  return whole.unsqueeze(1).expand({whole.size(0), repeats, whole.size(1)}).reshape({-1});
}

void scale_rows(const std::string& layer, const at::Tensor& factors, Parameters& parameters) {
  at::Tensor& weight = parameters.at(layer + ".weight");
  weight = weight * factors.unsqueeze(1);
  const auto bias = parameters.find(layer + ".bias");
  if (bias != parameters.end()) bias->second = bias->second * factors;
}

}  // namespace

std::vector<models::ScaleGroup> changed_groups(const models::Network& network, std::int64_t unit) {
  std::vector<models::ScaleGroup> groups = quant::scale_groups_of(network, unit);
  const std::optional<models::AttentionParts> parts = network.attention_parts(unit);
  std::erase_if(groups, [&](const models::ScaleGroup& group) {
    return !group.after_norm && !(parts && group.layers.front() == parts->out);
  });
  return groups;
}

std::vector<std::string> changed_sites(const models::Network& network, std::int64_t unit) {
  const std::vector<models::Layer> layers = quant::layers_of(network, unit);
  std::vector<std::string> sites;
  for (const models::ScaleGroup& group : changed_groups(network, unit)) {
    sites.push_back(quant::layer_named(group.layers.front(), layers).input_site);
  }
  return sites;
}

Transformation first_transformation(const models::Network& network, std::int64_t unit,
                                    const quant::ChannelRanges& ranges,
                                    const TransformationStart& start) {
  Transformation first{.attention = network.attention_parts(unit)};
  const std::vector<models::ScaleGroup> groups = changed_groups(network, unit);
  const std::vector<std::string> sites = changed_sites(network, unit);
  const bool shifts = start.shifts && std::all_of(groups.begin(), groups.end(), [&](const auto& g) {
                        return takes_shift(network, g);
                      });
  for (std::size_t i = 0; i < groups.size(); ++i) {
    const quant::ChannelRange& range = ranges.find(sites[i])->second;
    first.channels.push_back(
        {.group = groups[i],
         .scale = quant::smoothing_factors(network, groups[i], range.largest, start.alpha)});
    if (shifts) first.channels.back().shift = range.middle;
  }
  if (start.head_scale && first.attention) {
    const models::AttentionParts& parts = *first.attention;
    const at::Tensor& like = network.parameters().at(parts.q + ".weight");
    const std::int64_t channels = parts.rotary.empty() ? parts.head_dim : parts.head_dim / 2;
    first.head_scale = at::ones({parts.kv_heads, channels}, like.options());
  }
  limit_scales(first);
  return first;
}

void limit_scales(Transformation& transformation) {
  for (ChannelChange& change : transformation.channels) change.scale.clamp_min_(kSmallestScale);
  if (transformation.head_scale.defined()) transformation.head_scale.clamp_min_(kSmallestScale);
}

Parameters parameters_of(const models::Network& network, std::int64_t unit) {
  const models::ParameterTable& all = network.parameters();
  Parameters parameters;
  for (const models::Layer& layer : quant::layers_of(network, unit)) {
    parameters[layer.name + ".weight"] = all.at(layer.name + ".weight");
    const std::string bias = layer.name + ".bias";
    if (all.contains(bias)) parameters[bias] = all.at(bias);
  }
  for (const models::ScaleGroup& group : changed_groups(network, unit)) {
    for (const std::string& producer : group.producers) parameters[producer] = all.at(producer);
  }
  return parameters;
}

Parameters transformed(Parameters parameters, const Transformation& transformation) {
  for (const ChannelChange& change : transformation.channels) {
    for (const std::string& layer : change.group.layers) change_layer(layer, change, parameters);
    for (const std::string& name : change.group.producers) {
      change_producer(name, change, parameters);
    }
  }
  if (!transformation.head_scale.defined()) return parameters;
  const models::AttentionParts& parts = *transformation.attention;
  const at::Tensor& scale = transformation.head_scale;
  scale_rows(parts.q, 1 / over_rows(scale, parts.heads / parts.kv_heads, parts), parameters);
  scale_rows(parts.k, over_rows(scale, 1, parts), parameters);
  return parameters;
}

}  // namespace assay::omniquant
