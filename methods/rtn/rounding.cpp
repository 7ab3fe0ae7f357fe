#include "methods/rtn/rounding.h"

#include <ATen/ATen.h>
#include <fmt/format.h>

#include <algorithm>
#include <optional>
#include <string>

#include "harness/base/error.h"
#include "methods/quant/finished_layers.h"
#include "methods/quant/in_layer.h"
#include "methods/quant/stage_inputs.h"

namespace assay::rtn {
namespace {

bool is_language(const models::Network& network) {
  return network.info().task == models::Task::kLanguage;
}

bool in_units(const models::Network& network, const models::Layer& layer) {
  return layer.unit >= 0 && layer.unit < network.unit_count();
}

quant::ActivationQuantizer quantizer_at(const std::string& site, const Options& options,
                                        const quant::Ranges& ranges, at::ScalarType type) {
  if (options.scheme != quant::ActivationScheme::kTensorStatic) {
    return {
        .scheme = options.scheme, .bits = options.activation_bits, .symmetric = options.symmetric};
  }
  const auto range = ranges.find(site);
  if (range == ranges.end()) {
    throw Error(ErrorKind::kData, fmt::format("the calibrated ranges lack site '{}'", site),
                {{"site", site}});
  }
  return quant::static_quantizer(range->second, options.activation_bits, options.symmetric, type);
}

void check_activations(const models::Network& network, const Options& options) {
  if (options.symmetric && options.activation_bits == 1) {
    throw Error(ErrorKind::kUnsupported,
                "symmetric activations of 1 bit have the values -m and 0 and lose everything above "
                "0; use at least 2 bits, or symmetric: false");
  }
  if (options.scheme != quant::ActivationScheme::kToken) return;
  for (const models::Layer& layer : network.layers()) {
    if (layer.kind == models::LayerKind::kConv && in_units(network, layer)) {
      throw Error(ErrorKind::kUnsupported,
                  fmt::format("act 'token': activations of a {} network are feature maps without "
                              "token rows; use tensor_static or tensor_dynamic",
                              network.info().family));
    }
  }
}

// Of keys and values, a range for each head and token.
void round_cache(const models::Network& network, const Options& options,
                 quant::QuantizedModel& model) {
  const quant::ActivationQuantizer quantizer{.scheme = quant::ActivationScheme::kToken,
                                             .bits = options.cache_bits,
                                             .symmetric = options.cache_symmetric};
  for (std::int64_t unit = 0; unit < network.unit_count(); ++unit) {
    const std::optional<models::AttentionParts> parts = network.attention_parts(unit);
    if (!parts) continue;
    model.activations.emplace(parts->key_cache, quantizer);
    model.activations.emplace(parts->value_cache, quantizer);
  }
}

void check_cache(const models::Network& network, const Options& options) {
  quant::require_levels("kv_bits", options.cache_bits, options.cache_symmetric);
  for (std::int64_t unit = 0; unit < network.unit_count(); ++unit) {
    if (network.attention_parts(unit)) return;
  }
  throw Error(ErrorKind::kUnsupported,
              fmt::format("kv_bits = {}: networks of family '{}' keep no keys and values; write "
                          "bits without KV",
                          options.cache_bits, network.info().family),
              {{"parameter", "kv_bits"}, {"value", std::to_string(options.cache_bits)}});
}

}  // namespace

void check(const models::Network& network, const Options& options) {
  if (options.range == quant::RangeSearch::kPercentile)
    quant::require_percentile(options.percentile);
  quant::require_levels("w_bits", options.weight_bits, options.symmetric);
  if (options.activation_bits != kFloatBits) check_activations(network, options);
  if (options.cache_bits != kFloatBits) check_cache(network, options);
}

std::vector<models::Layer> selected_layers(const models::Network& network,
                                           const std::string& which) {
  std::vector<models::Layer> layers = network.layers();
  if (which == "blocks" || (which == "auto" && is_language(network))) {
    std::erase_if(layers, [&](const models::Layer& layer) { return !in_units(network, layer); });
  } else if (which == "inner" && layers.size() > 2) {
    layers.erase(layers.begin());
    layers.pop_back();
  }
  return layers;
}

std::vector<std::string> selected_sites(const models::Network& network, const Options& options) {
  if (options.sites == "network" || (options.sites == "auto" && !is_language(network))) {
    return network.sites();
  }
  std::vector<std::string> sites;
  for (const models::Layer& layer : selected_layers(network, options.layers)) {
    if (std::find(sites.begin(), sites.end(), layer.input_site) == sites.end()) {
      sites.push_back(layer.input_site);
    }
  }
  return sites;
}

quant::ObserverOptions observer_options(const Options& options) {
  quant::ObserverOptions out{.percentile = options.percentile,
                             .bits = options.activation_bits,
                             .symmetric = options.symmetric};
  if (options.range == quant::RangeSearch::kPercentile) out.kind = quant::ObserverKind::kPercentile;
  if (options.range == quant::RangeSearch::kMse) out.kind = quant::ObserverKind::kMse;
  return out;
}

quant::QuantizedModel round_to_nearest(const models::Network& network, const Options& options,
                                       const quant::Ranges& ranges,
                                       const std::filesystem::path& scratch) {
  quant::QuantizedModel model{.method = "rtn"};
  if (options.weight_bits != kFloatBits) {
    const quant::GridOptions grid{.bits = options.weight_bits,
                                  .search = options.range,
                                  .granularity = options.granularity,
                                  .group = options.group,
                                  .symmetric = options.symmetric,
                                  .mirror_positive = true,
                                  .percentile = options.percentile};
    quant::FinishedLayers finished(scratch);
    for (const models::Layer& layer : selected_layers(network, options.layers)) {
      const std::string& name = layer.name;
      const at::Tensor weight = quant::as_matrix(network.parameters().value(name + ".weight"));
      model.layers[name] =
          finished.put(name, quant::in_layer(name, [&] {
                         return quant::quantized_layer(weight, quant::find_grid(weight, grid));
                       }));
    }
  }
  if (options.activation_bits != kFloatBits) {
    check_activations(network, options);
    for (const std::string& site : selected_sites(network, options)) {
      model.activations.emplace(site,
                                quantizer_at(site, options, ranges, quant::dtype_of(network)));
    }
  }
  if (options.cache_bits != kFloatBits) round_cache(network, options, model);
  return model;
}

}  // namespace assay::rtn
