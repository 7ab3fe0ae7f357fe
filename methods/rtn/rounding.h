#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "harness/models/network.h"
#include "methods/quant/grid_search.h"
#include "methods/quant/observer.h"
#include "methods/quant/quantized_model.h"

// The arithmetic of round to nearest on a network, without stages.

namespace assay::rtn {

struct Options {
  int weight_bits = 8;       // 16: weights stay
  int activation_bits = 16;  // 16: activations stay
  int cache_bits = 16;       // 16: keys and values of attention stay
  quant::RangeSearch range = quant::RangeSearch::kMinMax;  // or kPercentile, kMse
  double percentile = 0.9999;
  quant::Granularity granularity = quant::Granularity::kChannel;
  std::int64_t group = 128;  // kGroup only
  bool symmetric = false;
  quant::ActivationScheme scheme = quant::ActivationScheme::kTensorStatic;
  std::string layers = "auto";  // auto, all, blocks, inner
  std::string sites = "auto";   // auto, network, inputs
  bool cache_symmetric = false;
};

// Layers whose weights are rounded: all; those of the units (`blocks`); all but the first and last
// (`inner`); `auto`: `all` for classification, `blocks` for language models.
std::vector<models::Layer> selected_layers(const models::Network& network,
                                           const std::string& which);

// Sites whose activations are quantized, in execution order: those that the network names
// (`network`) or the inputs of the selected layers (`inputs`); `auto`: `network` for
// classification, `inputs` for language models.
std::vector<std::string> selected_sites(const models::Network& network, const Options& options);

// That the options fit the network. Throws Error(kUnsupported) for per-token ranges of feature
// maps, symmetric grids of 1 bit, and keys and values of a network that keeps none.
void check(const models::Network& network, const Options& options);

quant::ObserverOptions observer_options(const Options& options);

// `ranges`: of every selected site for a static scheme, else unused. `scratch`: of finished layers
// (quant::FinishedLayers). The network is not changed.
// Throws Error(kUnsupported) for per-token ranges of feature maps and for symmetric grids of 1 bit,
// Error(kMethod) naming the layer for weights that are not finite.
quant::QuantizedModel round_to_nearest(const models::Network& network, const Options& options,
                                       const quant::Ranges& ranges,
                                       const std::filesystem::path& scratch = {});

}  // namespace assay::rtn
