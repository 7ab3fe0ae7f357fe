#include "methods/quant/sequential.h"

#include <fmt/format.h>

#include <string>
#include <utility>
#include <vector>

#include "harness/base/error.h"
#include "methods/quant/tap_sequence.h"

namespace assay::quant {
namespace {

using Layers = std::vector<models::Layer>;

void require_linear(const models::Layer& layer) {
  if (layer.kind == models::LayerKind::kLinear) return;
  throw Error(ErrorKind::kUnsupported,
              fmt::format("layer '{}' is a convolution: block-sequential methods are supported for "
                          "linear layers only",
                          layer.name),
              {{"layer", layer.name}});
}

// Layers of a unit whose moments one pass collects: all of them, or those that share an input.
std::vector<Layers> passes_of(const models::Network& network, std::int64_t unit,
                              bool true_sequential) {
  std::vector<Layers> passes;
  for (const models::Layer& layer : network.layers()) {
    if (layer.unit != unit) continue;
    require_linear(layer);
    const bool joins = !passes.empty() &&
                       (!true_sequential || passes.back().back().input_site == layer.input_site);
    if (!joins) passes.emplace_back();
    passes.back().push_back(layer);
  }
  return passes;
}

void collect(const models::Network& network, std::int64_t unit,
             const std::vector<at::Tensor>& hidden, const std::vector<Chunk>& chunks,
             models::Tap& own, MomentTap& moments) {
  TapSequence tap(own, moments);
  for (std::size_t i = 0; i < hidden.size(); ++i) {
    moments.begin(&chunks[i]);
    network.unit(unit, hidden[i], tap);
  }
  moments.begin(nullptr);
}

}  // namespace

void require_linear_units(const models::Network& network) {
  for (const models::Layer& layer : network.layers()) {
    if (layer.unit >= 0 && layer.unit < network.unit_count()) require_linear(layer);
  }
}

void quantize_sequentially(const models::Network& network, const at::Tensor& inputs,
                           const SequentialOptions& options, const SequentialHooks& hooks) {
  models::Untapped none;
  models::Tap& own = options.tap == nullptr ? none : *options.tap;
  std::vector<Chunk> chunks;
  std::vector<at::Tensor> hidden;
  for (std::int64_t i = 0; i < chunk_count(inputs.size(0), options.chunk); ++i) {
    chunks.push_back(chunk_of(inputs, i, options.chunk));
    hidden.push_back(network.embed(chunks.back().rows, own));
    chunks.back().rows = at::Tensor();
  }
  for (std::int64_t unit = 0; unit < network.unit_count(); ++unit) {
    const std::vector<Layers> passes = passes_of(network, unit, options.true_sequential);
    if (!passes.empty() && !(hooks.restore && hooks.restore(unit))) {
      for (const Layers& layers : passes) {
        MomentTap tap;
        for (const models::Layer& layer : layers) tap.watch(layer.input_site);
        collect(network, unit, hidden, chunks, own, tap);
        for (const models::Layer& layer : layers) {
          hooks.quantize(layer, tap.hessian(layer.input_site, options.unit));
        }
      }
      if (hooks.finished) hooks.finished(unit);
    }
    if (unit + 1 == network.unit_count()) break;  // nobody reads the last output
    for (at::Tensor& state : hidden) state = network.unit(unit, state, own);
  }
}

}  // namespace assay::quant
