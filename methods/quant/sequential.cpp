#include "methods/quant/sequential.h"

#include <fmt/format.h>

#include <map>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "harness/base/error.h"
#include "harness/models/block_rotation.h"
#include "methods/quant/attention_moments.h"
#include "methods/quant/partial_pass.h"
#include "methods/quant/tap_sequence.h"
#include "methods/quant/upstream_moments.h"

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

struct Walk {
  const models::Network& network;
  const SequentialOptions& options;
  models::Tap& own;
  std::vector<Chunk> chunks;
  std::vector<at::Tensor> hidden;  // the input of the unit to come, by chunk
  std::vector<at::Tensor> float_hidden;  // the same in the float network, where it runs beside

  void embed(const at::Tensor& inputs) {
    for (std::int64_t i = 0; i < chunk_count(inputs.size(0), options.chunk); ++i) {
      poll();
      chunks.push_back(chunk_of(inputs, i, options.chunk));
      hidden.push_back(network.embed(chunks.back().rows, own));
      if (options.upstream) {
        models::Untapped none;
        float_hidden.push_back(network.embed(chunks.back().rows, none));
      }
      chunks.back().rows = at::Tensor();
    }
  }

  void poll() const {
    if (options.between_chunks) options.between_chunks();
  }

  void go_through(std::int64_t unit) {
    for (at::Tensor& state : hidden) {
      poll();
      state = network.unit(unit, state, own);
    }
  }

  std::vector<at::Tensor> outputs_of(std::int64_t unit, const std::vector<at::Tensor>& states,
                                     models::Tap& tap) const {
    std::vector<at::Tensor> outputs;
    for (const at::Tensor& state : states) {
      poll();
      outputs.push_back(network.unit(unit, state, tap));
    }
    return outputs;
  }

  UnitInputs inputs_of(std::int64_t unit, const std::vector<at::Tensor>& float_outputs) const {
    return {.unit = unit,
            .chunks = chunks,
            .hidden = hidden,
            .own = own,
            .between_chunks = [this] { poll(); },
            .float_hidden = float_hidden,
            .float_outputs = float_outputs};
  }

  void require_finite(const models::Layer& layer) const {
    if (network.parameters().at(layer.name + ".weight").isfinite().all().item<bool>()) return;
    throw Error(ErrorKind::kMethod,
                fmt::format("layer '{}': the weight holds NaN or infinities", layer.name),
                {{"layer", layer.name}});
  }

  void require_finite(const std::vector<Layers>& passes) const {
    for (const Layers& layers : passes) {
      for (const models::Layer& layer : layers) require_finite(layer);
    }
  }

  // Keys of the network's prefix as the site of keys shows those of tokens.
  at::Tensor prefix_keys(std::int64_t unit, const models::AttentionParts& parts) const {
    if (network.prefix().empty()) return {};
    const at::Tensor& keys = network.prefix().units()[static_cast<std::size_t>(unit)].keys;
    return parts.rotation ? parts.rotation->head_back(keys) : keys;
  }

  // The attention of the unit, if it is looked at.
  std::optional<AttentionMoments> attention_of(std::int64_t unit, const Layers& layers) const {
    const std::optional<models::AttentionParts> parts = network.attention_parts(unit);
    if (!parts || !(options.attention_rows || options.attention_values)) return {};
    for (const models::Layer& layer : layers) {
      if (layer.name == parts->v) {
        return AttentionMoments(*parts, layer.input_site, options.attention_values,
                                prefix_keys(unit, *parts));
      }
    }
    return {};
  }

  std::vector<LayerMoments> collect(std::int64_t unit, const Layers& layers) const {
    // Said here, since inputs of the layers after it would be blamed.
    for (const models::Layer& layer : layers) require_finite(layer);
    MomentTap inputs;
    for (const models::Layer& layer : layers) inputs.watch(layer.input_site);
    std::optional<AttentionMoments> attention = attention_of(unit, layers);
    models::Untapped none;
    TapSequence seen(inputs, attention ? static_cast<models::Tap&>(*attention) : none);
    TapSequence tap(own, seen);
    SiteNames sites;
    for (const models::Layer& layer : layers) sites.insert(layer.input_site);
    if (attention) sites.merge(attention->sites());
    for (std::size_t i = 0; i < hidden.size(); ++i) {
      poll();
      inputs.begin(&chunks[i]);
      if (attention) attention->begin(&chunks[i]);
      pass_until_seen(sites, network, unit, hidden[i], tap);
    }
    std::optional<UpstreamMoments> upstream;
    if (options.upstream) upstream = collect_upstream(unit, layers, attention.has_value());
    std::vector<LayerMoments> all;
    std::map<std::string, at::Tensor> columns;  // by site: layers of one input share them
    for (const models::Layer& layer : layers) {
      at::Tensor& column = columns[layer.input_site];
      if (!column.defined()) column = inputs.hessian(layer.input_site, options.unit);
      all.push_back({.layer = layer,
                     .column = column,
                     .length = hidden.front().dim() == 3 ? hidden.front().size(1) : 1});
    }
    if (attention) add_attention(*network.attention_parts(unit), *attention, all);
    if (upstream) add_upstream(unit, *upstream, all);
    return all;
  }

  UpstreamMoments collect_upstream(std::int64_t unit, const Layers& layers, bool attention) const {
    std::set<std::string> sites;
    std::string value_site;
    const std::optional<models::AttentionParts> parts = network.attention_parts(unit);
    for (const models::Layer& layer : layers) {
      sites.insert(layer.input_site);
      if (parts && layer.name == parts->v) value_site = layer.input_site;
    }
    const bool values = attention && options.attention_values;
    UpstreamMoments moments(std::move(sites), values ? parts : std::nullopt, value_site);
    TapSequence tap(own, moments);
    for (std::size_t i = 0; i < hidden.size(); ++i) {
      poll();
      moments.begin(&chunks[i], true);
      network.unit(unit, float_hidden[i], moments);
      moments.begin(&chunks[i], false);
      network.unit(unit, hidden[i], tap);
    }
    return moments;
  }

  void add_upstream(std::int64_t unit, const UpstreamMoments& upstream,
                    std::vector<LayerMoments>& layers) const {
    const std::optional<models::AttentionParts> parts = network.attention_parts(unit);
    for (LayerMoments& each : layers) {
      const bool by_head = parts && each.layer.name == parts->v && each.column.dim() == 3;
      each.upstream = by_head ? upstream.of_values() : upstream.at_site(each.layer.input_site);
    }
  }

  void add_attention(const models::AttentionParts& parts, const AttentionMoments& attention,
                     std::vector<LayerMoments>& layers) const {
    for (LayerMoments& each : layers) {
      if (options.attention_rows && each.layer.name == parts.q) {
        each.row = attention.rows_of_queries();
      }
      if (options.attention_rows && each.layer.name == parts.k) {
        each.row = attention.rows_of_keys();
      }
      if (options.attention_values && each.layer.name == parts.v) {
        each.column = attention.columns_of_values();
      }
    }
  }
};

}  // namespace

void require_linear_units(const models::Network& network) {
  for (const models::Layer& layer : network.layers()) {
    if (layer.unit >= 0 && layer.unit < network.unit_count()) require_linear(layer);
  }
}

void quantize_sequentially(const models::Network& network, const at::Tensor& inputs,
                           const SequentialOptions& options, const SequentialHooks& hooks) {
  models::Untapped none;
  Walk walk{network, options, options.tap == nullptr ? none : *options.tap, {}, {}, {}};
  walk.embed(inputs);
  const bool quantized_inputs = options.propagate == Propagation::kQuantized;
  for (std::int64_t unit = 0; unit < network.unit_count(); ++unit) {
    const models::WeightHold held = network.hold(unit, /*last_use=*/true);
    const std::vector<Layers> passes = passes_of(network, unit, options.true_sequential);
    const bool last = unit + 1 == network.unit_count();  // nobody reads its output
    std::vector<at::Tensor> next;
    if (!last && !quantized_inputs) next = walk.outputs_of(unit, walk.hidden, walk.own);
    std::vector<at::Tensor> float_next;
    if (!last || hooks.quantize_unit) {
      float_next = walk.outputs_of(unit, walk.float_hidden, none);
    }
    if (!passes.empty() && !(hooks.restore && hooks.restore(unit))) {
      if (hooks.quantize_unit) {
        walk.require_finite(passes);
        hooks.quantize_unit(walk.inputs_of(unit, float_next));
      } else {
        for (const Layers& layers : passes) hooks.quantize(walk.collect(unit, layers));
      }
      if (hooks.finished) hooks.finished(unit);
    }
    if (last) break;
    walk.float_hidden = std::move(float_next);
    if (quantized_inputs) {
      walk.go_through(unit);
    } else {
      walk.hidden = std::move(next);
    }
  }
}

}  // namespace assay::quant
