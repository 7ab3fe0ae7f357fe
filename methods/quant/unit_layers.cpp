#include "methods/quant/unit_layers.h"

#include <fmt/format.h>

#include <algorithm>

#include "harness/base/error.h"

namespace assay::quant {

std::vector<models::Layer> layers_of(const models::Network& network, std::int64_t unit) {
  std::vector<models::Layer> layers = network.layers();
  std::erase_if(layers, [&](const models::Layer& layer) { return layer.unit != unit; });
  return layers;
}

const models::Layer& layer_named(const std::string& name,
                                 const std::vector<models::Layer>& layers) {
  const auto found = std::find_if(layers.begin(), layers.end(),
                                  [&](const models::Layer& layer) { return layer.name == name; });
  if (found != layers.end()) return *found;
  throw Error(ErrorKind::kMethod, fmt::format("layer '{}' is not in its unit", name),
              {{"layer", name}});
}

std::vector<models::ScaleGroup> scale_groups_of(const models::Network& network, std::int64_t unit) {
  const std::vector<models::Layer> layers = layers_of(network, unit);
  std::vector<models::ScaleGroup> groups = network.scale_groups();
  std::erase_if(groups, [&](const models::ScaleGroup& group) {
    return std::none_of(layers.begin(), layers.end(), [&](const models::Layer& layer) {
      return layer.name == group.layers.front();
    });
  });
  return groups;
}

}  // namespace assay::quant
