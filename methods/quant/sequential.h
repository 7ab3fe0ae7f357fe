#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <functional>

#include "harness/models/network.h"
#include "methods/quant/chunk.h"
#include "methods/quant/moments.h"

// The walk of block-sequential methods: every unit of a network is quantized with the moments of
// its float self on inputs that the already quantized units before it produced.

namespace assay::quant {

struct SequentialOptions {
  MomentUnit unit = MomentUnit::kToken;
  bool true_sequential = false;  // collect again after each group of layers that share an input
  std::int64_t chunk = kSequenceChunk;
  models::Tap* tap = nullptr;  // activation quantizers that the network has already; borrowed
};

struct SequentialHooks {
  // Puts the weights of a unit back that an earlier attempt finished; false: it must be computed.
  std::function<bool(std::int64_t unit)> restore;
  // Replaces the weight of one layer. `hessian`: second moments of its input.
  std::function<void(const models::Layer& layer, const at::Tensor& hessian)> quantize;
  // Every layer of the unit is quantized: time for a checkpoint.
  std::function<void(std::int64_t unit)> finished;
};

// inputs: images or token ids, rows first. Layers of the embedding and the head stay float. Hidden
// states of two units and the moments of one are held. Throws Error(kUnsupported) for units that
// hold convolutions.
void quantize_sequentially(const models::Network& network, const at::Tensor& inputs,
                           const SequentialOptions& options, const SequentialHooks& hooks);

// That every layer of the units is linear. Throws Error(kUnsupported) naming the one that is not.
void require_linear_units(const models::Network& network);

}  // namespace assay::quant
