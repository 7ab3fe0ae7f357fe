#include "methods/smoothquant/smoothing.h"

#include <ATen/ATen.h>

#include <algorithm>

#include "methods/quant/channel_ranges.h"
#include "methods/quant/chunk.h"
#include "methods/quant/finished_layers.h"
#include "methods/quant/in_layer.h"
#include "methods/quant/stage_inputs.h"
#include "methods/quant/tap_sequence.h"

namespace assay::smoothquant {
namespace {

bool in_units(const models::Network& network, const models::Layer& layer) {
  return layer.unit >= 0 && layer.unit < network.unit_count();
}

bool is_projection(const models::Network& network, const models::Layer& layer) {
  const auto parts = network.attention_parts(layer.unit);
  return parts && (layer.name == parts->q || layer.name == parts->k || layer.name == parts->v);
}

// The largest value at a site once its channels are scaled.
double largest_at(const at::Tensor& maxima, const at::Tensor& factors) {
  return (factors.defined() ? maxima / factors : maxima).max().item<double>();
}

}  // namespace

std::vector<std::string> observed_sites(const models::Network& network) {
  std::vector<std::string> sites;
  const auto add = [&](const std::string& site) {
    if (std::find(sites.begin(), sites.end(), site) == sites.end()) sites.push_back(site);
  };
  for (const models::Layer& layer : network.layers()) {
    if (!in_units(network, layer)) continue;
    add(layer.input_site);
    if (is_projection(network, layer)) add(layer.output_site);
  }
  return sites;
}

Maxima channel_maxima(const models::Network& network, const at::Tensor& tokens, models::Tap& own,
                      const std::function<void(std::int64_t, std::int64_t)>& progress) {
  quant::ChannelRangeTap observer(observed_sites(network));
  quant::TapSequence tap(own, observer);
  const std::int64_t chunks = quant::chunk_count(tokens.size(0), quant::kSequenceChunk);
  for (std::int64_t i = 0; i < chunks; ++i) {
    const quant::Chunk chunk = quant::chunk_of(tokens, i, quant::kSequenceChunk);
    observer.begin(&chunk);
    network.forward(chunk.rows, tap);
    if (progress) progress(i + 1, chunks);
  }
  Maxima maxima;
  for (const auto& [site, range] : observer.ranges()) maxima[site] = range.largest;
  return maxima;
}

std::map<std::string, at::Tensor> smoothing_factors(const models::Network& network,
                                                    const Maxima& maxima, double alpha) {
  std::map<std::string, std::string> inputs;  // site of each layer
  for (const models::Layer& layer : network.layers()) inputs[layer.name] = layer.input_site;
  std::map<std::string, at::Tensor> factors;
  for (const models::ScaleGroup& group : network.scale_groups()) {
    if (!group.after_norm) continue;
    const std::string& first = group.layers.front();
    factors[first] =
        quant::smoothing_factors(network, group, maxima.find(inputs.at(first))->second, alpha);
  }
  return factors;
}

quant::QuantizedModel smooth(models::Network& network, const Maxima& maxima, const Options& options,
                             const std::filesystem::path& scratch) {
  quant::QuantizedModel model{.method = "smoothquant"};
  model.channel_scales = smoothing_factors(network, maxima, options.alpha);
  std::map<std::string, at::Tensor> factors_of_layer;
  for (const models::ScaleGroup& group : network.scale_groups()) {
    const auto found = model.channel_scales.find(group.layers.front());
    if (found == model.channel_scales.end()) continue;
    for (const std::string& layer : group.layers) factors_of_layer[layer] = found->second;
    quant::scale_channels(group, found->second, network);
  }
  const auto quantizer_at = [&](const std::string& site, const at::Tensor& factors) {
    if (options.scheme != quant::ActivationScheme::kTensorStatic) {
      return quant::ActivationQuantizer{
          .scheme = options.scheme, .bits = options.activation_bits, .symmetric = true};
    }
    const double largest = largest_at(maxima.find(site)->second, factors);
    return quant::static_quantizer({-largest, largest}, options.activation_bits, true,
                                   quant::dtype_of(network));
  };
  quant::FinishedLayers finished(scratch);
  for (const models::Layer& layer : network.layers()) {
    if (!in_units(network, layer)) continue;
    if (options.activation_bits != kFloatBits) {
      model.activations.emplace(layer.input_site,
                                quantizer_at(layer.input_site, factors_of_layer[layer.name]));
      if (options.quantize_bmm && is_projection(network, layer)) {
        model.activations.emplace(layer.output_site, quantizer_at(layer.output_site, {}));
      }
    }
    if (options.weight_bits != kFloatBits) {
      model.layers[layer.name] = finished.put(
          layer.name, quant::in_layer(layer.name, [&] {
            const at::Tensor weight = network.parameters().value(layer.name + ".weight");
            return quant::quantized_layer(
                weight, quant::absmax_grid(weight, options.weight_bits, options.weights));
          }));
    }
  }
  return model;
}

}  // namespace assay::smoothquant
