#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "harness/models/network.h"

// Layers and scale groups of one unit.

namespace assay::quant {

std::vector<models::Layer> layers_of(const models::Network& network, std::int64_t unit);

// Throws Error(kMethod) if none of `layers` has the name.
const models::Layer& layer_named(const std::string& name, const std::vector<models::Layer>& layers);

std::vector<models::ScaleGroup> scale_groups_of(const models::Network& network, std::int64_t unit);

}  // namespace assay::quant
