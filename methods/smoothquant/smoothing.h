#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "harness/models/network.h"
#include "harness/models/tap.h"
#include "methods/quant/activation.h"
#include "methods/quant/grid_search.h"
#include "methods/quant/quantized_model.h"

// The arithmetic of SmoothQuant on a network, without stages. Source: Xiao et al. 2023 (arXiv
// 2211.10438).

namespace assay::smoothquant {

// Largest |x| of every channel, by site: float [channels].
using Maxima = std::map<std::string, at::Tensor, std::less<>>;

// Inputs of all linear layers of the units, and outputs of q, k and v.
std::vector<std::string> observed_sites(const models::Network& network);

// Over one pass of the network on tokens [n, context]. `own`: activation quantizers that the
// network has already; what they make is observed. Throws Error(kMethod) naming a site that held
// NaN or infinities.
Maxima channel_maxima(const models::Network& network, const at::Tensor& tokens, models::Tap& own,
                      const std::function<void(std::int64_t, std::int64_t)>& progress);

// quant::smoothing_factors of every group behind a norm, by its first layer.
std::map<std::string, at::Tensor> smoothing_factors(const models::Network& network,
                                                    const Maxima& maxima, double alpha);

struct Options {
  double alpha = 0.5;
  int weight_bits = 8;                                        // 16: weights stay
  int activation_bits = 8;                                    // 16: activations stay
  quant::Granularity weights = quant::Granularity::kChannel;  // or kTensor
  quant::ActivationScheme scheme = quant::ActivationScheme::kToken;
  bool quantize_bmm = true;  // outputs of q, k and v too
};

// Scales the channels of `network`, and says how they and all linear layers of the units are
// quantized; their weights stay float. `scratch`: of finished layers (quant::FinishedLayers).
quant::QuantizedModel smooth(models::Network& network, const Maxima& maxima, const Options& options,
                             const std::filesystem::path& scratch = {});

}  // namespace assay::smoothquant
