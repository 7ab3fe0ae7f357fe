#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "harness/models/network.h"
#include "methods/quant/channel_ranges.h"

// Learnable equivalent transformation: channels that a unit's layers exchange are shifted and
// scaled, and its float function stays the same. Source: Shao et al. 2024 (arXiv 2308.13137),
// section 3.3.

namespace assay::omniquant {

using Parameters = std::map<std::string, at::Tensor>;  // of a network, by name

// Of the common input x of a group of layers, which becomes (x - shift) / scale.
struct ChannelChange {
  models::ScaleGroup group;
  at::Tensor scale;       // floating [channels], above 0
  at::Tensor shift = {};  // floating [channels], or undefined: none
};

struct Transformation {
  std::vector<ChannelChange> channels = {};  // in execution order
  std::optional<models::AttentionParts> attention = {};
  // Queries are divided by it and keys multiplied: floating [kv_heads, head_dim], with a rotary
  // embedding, which turns two channels into each other, [kv_heads, head_dim / 2]. Undefined: none.
  at::Tensor head_scale = {};
};

// Groups of a unit whose channels are changed: behind its norms, and the output projection behind
// the values where every head has values of its own.
std::vector<models::ScaleGroup> changed_groups(const models::Network& network, std::int64_t unit);

// Sites of the groups' inputs.
std::vector<std::string> changed_sites(const models::Network& network, std::int64_t unit);

struct TransformationStart {
  double alpha = 0.5;   // of quant::smoothing_factors
  bool shifts = false;  // where all norms and layers of the groups have biases
  bool head_scale = false;
};

// Where training starts: SmoothQuant's scales, the middles of the channels' ranges, 1 between
// queries and keys. ranges: of changed_sites in the float network.
Transformation first_transformation(const models::Network& network, std::int64_t unit,
                                    const quant::ChannelRanges& ranges,
                                    const TransformationStart& start);

// Scales are kept at 0.01 or more, in place.
void limit_scales(Transformation& transformation);

// Weights and biases of the layers of a unit, and what produces the inputs of its groups.
Parameters parameters_of(const models::Network& network, std::int64_t unit);

// The same for the transformed unit; those that it does not touch are the very tensors. Gradients
// reach scales and shifts.
Parameters transformed(Parameters parameters, const Transformation& transformation);

}  // namespace assay::omniquant
