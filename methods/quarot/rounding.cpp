#include "methods/quarot/rounding.h"

#include <ATen/ATen.h>
#include <fmt/format.h>

#include <string>

#include "harness/base/error.h"
#include "methods/quant/grid_search.h"
#include "methods/quant/in_layer.h"
#include "methods/quant/rounding_error.h"
#include "methods/quant/stage_inputs.h"

namespace assay::quarot {
namespace {

constexpr int kCandidates = 80;
constexpr double kExponent = 2.4;

quant::ActivationQuantizer cache_quantizer(const Options& options) {
  quant::ActivationQuantizer quantizer{.scheme = quant::ActivationScheme::kToken,
                                       .bits = options.cache_bits,
                                       .symmetric = options.cache_symmetric,
                                       .clip = options.cache_clip};
  if (options.cache_group > 0) {
    quantizer.group = options.cache_group;
  } else {
    quantizer.over_heads = true;
  }
  return quantizer;
}

[[noreturn]] void refuse(const char* parameter, std::int64_t value, const std::string& problem) {
  throw Error(ErrorKind::kUnsupported, fmt::format("{} = {}: {}", parameter, value, problem),
              {{"parameter", parameter}, {"value", std::to_string(value)}});
}

}  // namespace

quant::Grid absmax_full_grid(const at::Tensor& weight, int bits, bool clip) {
  quant::Grid grid = quant::absmax_grid(weight, bits, quant::Granularity::kChannel);
  if (!clip) return grid;
  const auto qmax = static_cast<double>(grid.qmax());
  const at::Tensor whole = grid.scale;
  at::Tensor least;
  for (int i = 0; i < kCandidates; ++i) {
    const at::Tensor scale = whole * (1.0 - i / 100.0);
    const at::Tensor score =
        quant::rounding_error(weight, scale, grid.zero, qmax).abs().pow(kExponent).sum(-1, true);
    if (i == 0) {
      least = score;
      continue;
    }
    const at::Tensor better = score < least;
    grid.scale = at::where(better, scale, grid.scale);
    least = at::where(better, score, least);
  }
  return grid;
}

void check(const models::Network& network, const Options& options) {
  quant::require_levels("w_bits", options.weight_bits, true, quant::Symmetry::kFixed);
  quant::require_levels("a_bits", options.activation_bits, true, quant::Symmetry::kFixed);
  if (options.cache_bits == kFloatBits) return;
  if (options.cache_bits == 1 && options.cache_symmetric) {
    refuse("kv_bits", 1,
           "a symmetric range has the values -m and 0 and loses everything above 0; take 2 bits or "
           "more, or kv_symmetric: false");
  }
  const std::int64_t head_dim = network.attention_parts(0)->head_dim;
  const std::int64_t group = options.cache_group;
  if (group != -1 && (group < 1 || head_dim % group != 0)) {
    refuse("kv_group", group,
           fmt::format("a head has {} channels; write -1 for one range of all heads, {} for one a "
                       "head, or another divisor of {}",
                       head_dim, head_dim, head_dim));
  }
}

quant::QuantizedModel quantized(const models::Network& network, const Options& options) {
  quant::QuantizedModel model{.method = "quarot"};
  for (const models::Layer& layer : network.layers()) {
    if (layer.unit < 0 || layer.unit >= network.unit_count()) continue;
    if (options.weight_bits != kFloatBits) {
      const at::Tensor& weight = network.parameters().at(layer.name + ".weight");
      model.layers[layer.name] = quant::in_layer(layer.name, [&] {
        return quant::quantized_layer(
            weight, absmax_full_grid(weight, options.weight_bits, options.weight_clip));
      });
    }
    if (options.activation_bits != kFloatBits) {
      model.activations.emplace(
          layer.input_site, quant::ActivationQuantizer{.scheme = quant::ActivationScheme::kToken,
                                                       .bits = options.activation_bits,
                                                       .symmetric = true,
                                                       .clip = options.activation_clip});
    }
  }
  if (options.cache_bits == kFloatBits) return model;
  for (std::int64_t unit = 0; unit < network.unit_count(); ++unit) {
    const models::AttentionParts parts = *network.attention_parts(unit);
    model.activations.emplace(parts.key_cache, cache_quantizer(options));
    model.activations.emplace(parts.value_cache, cache_quantizer(options));
  }
  return model;
}

}  // namespace assay::quarot
