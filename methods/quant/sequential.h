#pragma once

#include <ATen/core/Tensor.h>

#include <array>
#include <cstdint>
#include <functional>
#include <vector>

#include "harness/base/enum_names.h"
#include "harness/models/network.h"
#include "methods/quant/chunk.h"
#include "methods/quant/layer_moments.h"
#include "methods/quant/moments.h"

// The walk of block-sequential methods: every unit of a network is quantized with the moments of
// its float self, or with what the method itself computes of it.

namespace assay::quant {

// Which units produce the inputs that the moments of a unit are collected on.
enum class Propagation {
  kQuantized,  // those before it as they were quantized (the releases of all methods here)
  kFloat,      // those before it as they were
};

constexpr auto enum_names(Propagation) {
  return std::to_array<EnumName<Propagation>>(
      {{Propagation::kQuantized, "quantized"}, {Propagation::kFloat, "float"}});
}

struct SequentialOptions {
  MomentUnit unit = MomentUnit::kToken;
  Propagation propagate = Propagation::kQuantized;
  // What couples the rows of queries and keys (AttentionMoments); a unit without attention of that
  // kind has none. `attention_values`: the moments of v are those behind the probabilities.
  bool attention_rows = false;
  bool attention_values = false;
  // The float network runs beside: how far the inputs have moved from its own (UpstreamMoments), or
  // what a unit is given and makes there (UnitInputs).
  bool upstream = false;
  bool true_sequential = false;  // collect again after each group of layers that share an input
  std::int64_t chunk = kSequenceChunk;
  std::function<void()> between_chunks = {};  // may throw, to stop
  models::Tap* tap = nullptr;  // activation quantizers that the network has already; borrowed
};

// A unit that is still float, and what it is given.
struct UnitInputs {
  std::int64_t unit = 0;
  const std::vector<Chunk>& chunks;       // which rows count; their `rows` are gone
  const std::vector<at::Tensor>& hidden;  // by chunk
  models::Tap& own;                       // activation quantizers that the network has already
  std::function<void()> between_chunks;   // to be called there; may throw, to stop
  // Of the float network, by chunk; empty where it does not run beside.
  std::vector<at::Tensor> float_hidden = {};
  std::vector<at::Tensor> float_outputs = {};  // of the unit
};

struct SequentialHooks {
  // Puts the weights of a unit back that an earlier attempt finished; false: it must be computed.
  std::function<bool(std::int64_t unit)> restore;
  // Replaces the weights of layers whose moments one pass collected: those of a unit, or of a group
  // with `true_sequential`.
  std::function<void(const std::vector<LayerMoments>& layers)> quantize;
  // Instead of `quantize`: replaces the weights of all layers of a unit. No moments are collected.
  std::function<void(const UnitInputs& inputs)> quantize_unit;
  // Every layer of the unit is quantized: time for a checkpoint.
  std::function<void(std::int64_t unit)> finished;
};

// inputs: images or token ids, rows first. Layers of the embedding and the head stay float. Weights
// and moments of one unit and hidden states of two are held. Throws Error(kUnsupported) for units
// that hold convolutions. `true_sequential` does not go together with attention's moments.
void quantize_sequentially(const models::Network& network, const at::Tensor& inputs,
                           const SequentialOptions& options, const SequentialHooks& hooks);

// That every layer of the units is linear. Throws Error(kUnsupported) naming the one that is not.
void require_linear_units(const models::Network& network);

}  // namespace assay::quant
