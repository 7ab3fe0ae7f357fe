#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "harness/models/network.h"

// Layers and scale groups of one unit.

namespace assay::awq {

std::vector<models::Layer> layers_of(const models::Network& network, std::int64_t unit);

// Throws Error(kMethod) if none of `layers` has the name.
const models::Layer& layer_named(const std::string& name, const std::vector<models::Layer>& layers);

std::vector<models::ScaleGroup> scale_groups_of(const models::Network& network, std::int64_t unit);

// Whether it is one layer, which is then inspected by itself.
inline bool scales_alone(const models::ScaleGroup& group) { return group.layers.size() == 1; }

}  // namespace assay::awq
