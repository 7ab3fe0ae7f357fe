#include "methods/quant/tensor_ledger.h"

#include <ATen/ATen.h>
#include <fmt/format.h>

#include <set>

namespace assay::quant {
namespace {

std::string float_as(const std::string& name, const std::set<std::string>& weights,
                     const QuantizedParts& parts) {
  const std::string what = weights.contains(name) ? "float layer" : "not a weight of a layer";
  const auto found = parts.replaced.find(name);
  return found == parts.replaced.end() ? what : fmt::format("{}, {}", what, found->second);
}

}  // namespace

Json tensor_ledger(const models::Network& network, const QuantizedParts& parts) {
  std::map<std::string, const QuantizedPart*> quantized;
  std::set<std::string> weights;
  for (const models::Layer& layer : network.layers()) {
    weights.insert(layer.name + ".weight");
    const auto found = parts.layers.find(layer.name);
    if (found != parts.layers.end()) quantized[layer.name + ".weight"] = &found->second;
  }
  Json all = Json::array();
  for (const auto& [name, slot] : network.parameters().shapes()) {
    Json tensor = {{"name", name}, {"shape", slot->sizes().vec()}};
    if (const auto found = quantized.find(name); found != quantized.end()) {
      tensor["state"] = "quantized";
      tensor["bits"] = found->second->cost.bits_per_weight();
      tensor["as"] = found->second->as;
    } else {
      tensor["state"] = "float";
      tensor["bits"] = kFloatBits;
      tensor["as"] = float_as(name, weights, parts);
    }
    all.push_back(std::move(tensor));
  }
  return all;
}

}  // namespace assay::quant
