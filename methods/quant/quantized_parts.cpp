#include "methods/quant/quantized_parts.h"

#include <ATen/ATen.h>
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

#include "harness/base/digest.h"
#include "harness/contract/stage_result.h"
#include "methods/quant/tensor_ledger.h"

namespace assay::quant {
namespace {

constexpr std::size_t kNamed = 8;
constexpr std::size_t kDigestDigits = 12;

std::int64_t weights_of(const models::Network& network, const models::Layer& layer) {
  return network.parameters().shape(layer.name + ".weight").numel();
}

std::vector<std::string> float_layers(const models::Network& network,
                                      const QuantizedParts& parts) {
  std::vector<std::string> names;
  for (const models::Layer& layer : network.layers()) {
    if (!parts.layers.contains(layer.name)) names.push_back(layer.name);
  }
  return names;
}

double bits_per_weight(const models::Network& network, const QuantizedParts& parts) {
  StorageCost all;
  for (const models::Layer& layer : network.layers()) {
    const auto found = parts.layers.find(layer.name);
    const std::int64_t weights = weights_of(network, layer);
    all.weights += weights;
    all.bits += found == parts.layers.end() ? weights * kFloatBits : found->second.cost.bits;
  }
  return all.bits_per_weight();
}

std::int64_t weight_bytes(const models::Network& network, const QuantizedParts& parts) {
  std::int64_t bytes = 0;
  for (const auto& [name, slot] : network.parameters().shapes()) bytes += slot->numel() * 2;
  for (const models::Layer& layer : network.layers()) {
    const auto found = parts.layers.find(layer.name);
    if (found == parts.layers.end()) continue;
    bytes += (found->second.cost.bits + 7) / 8 - weights_of(network, layer) * 2;
  }
  return bytes;
}

template <typename Values>
std::string digest_of_names(const std::map<std::string, Values>& named) {
  std::string names;
  for (const auto& [name, value] : named) names += name + "\n";
  return sha256(names).substr(0, kDigestDigits);
}

Json weights_protocol(const models::Network& network, const QuantizedParts& parts) {
  if (parts.layers.empty()) return nullptr;
  Json named = Json::array();
  const std::vector<std::string> all = float_layers(network, parts);
  for (std::size_t i = 0; i < std::min(all.size(), kNamed); ++i) named.push_back(all[i]);
  if (all.size() > kNamed) named.push_back(fmt::format("and {} more", all.size() - kNamed));
  return {{"layers", parts.layers.size()},
          {"digest", digest_of_names(parts.layers)},
          {"float_layers", named}};
}

std::string text_of(const Grid& grid) {
  const std::string bits = fmt::format("{} bits", grid.bits);
  if (grid.levels.defined()) return fmt::format("{}, levels, blocks of {}", bits, grid.group);
  if (grid.group > 0) return fmt::format("{}, groups of {}", bits, grid.group);
  return bits + (grid.scale.numel() == 1 ? ", one scale" : ", a scale per row");
}

const char* text_of(RoundingOrder order) {
  return order == RoundingOrder::kZeroThenRound ? "round(x/s + z)" : "round(x/s) + z";
}

Json activations_protocol(const QuantizedParts& parts) {
  if (parts.sites.empty()) return nullptr;
  std::set<std::string> orders;
  for (const auto& [site, each] : parts.sites) {
    std::vector<std::string> order;
    for (const RoundingOrder one : each) order.emplace_back(text_of(one));
    orders.insert(fmt::format("{}", fmt::join(order, ", then ")));
  }
  return {{"sites", parts.sites.size()},
          {"digest", digest_of_names(parts.sites)},
          {"rounding", orders}};
}

template <typename Before, typename Made>
std::int64_t number_in_both(const Before& before, const Made& made) {
  return std::count_if(made.begin(), made.end(),
                       [&](const auto& each) { return before.contains(each.first); });
}

// What a method rounds that a method before it had rounded already, that it rounds nothing, or "".
std::string note_of(const QuantizedParts& before, const QuantizedModel& made) {
  std::vector<std::string> notes;
  if (made.layers.empty() && made.activations.empty() && made.channel_scales.empty() &&
      made.parameters.empty() && made.prefix.empty()) {
    notes.push_back(
        fmt::format("{} rounds nothing: its network is the one that it was given", made.method));
  }
  if (const std::int64_t layers = number_in_both(before.layers, made.layers); layers > 0) {
    notes.push_back(fmt::format(
        "{} rounds the weights of {} layers that a method before it had rounded "
        "already: what it can still change is little; a method with the parameter `quantize`, as "
        "rtn and smoothquant have it, can leave weights alone (quantize: activations)",
        made.method, layers));
  }
  if (const std::int64_t sites = number_in_both(before.sites, made.activations); sites > 0) {
    notes.push_back(
        fmt::format("{} rounds the activations of {} sites that a method before it rounds already: "
                    "each pass rounds them twice, one after the other; a method with the parameter "
                    "`quantize`, as rtn and smoothquant have it, can leave activations alone "
                    "(quantize: weights)",
                    made.method, sites));
  }
  return fmt::format("{}", fmt::join(notes, "\n"));
}

}  // namespace

void QuantizedParts::add(const QuantizedModel& model) {
  for (const auto& [name, layer] : model.layers) {
    layers[name] = {storage_cost(layer), fmt::format("{}: {}", model.method, text_of(layer.grid))};
  }
  for (const auto& [name, value] : model.parameters) replaced[name] = "replaced by " + model.method;
  for (const auto& [site, quantizer] : model.activations) sites[site].push_back(quantizer.order);
  prefix = std::max(prefix, model.prefix.length());
}

std::vector<MetricValue> network_values() {
  return {{.name = "bits_per_weight", .unit = "bits", .higher_is_better = false, .primary = true},
          {.name = "weight_bytes", .unit = "bytes", .higher_is_better = false, .primary = true},
          {.name = "float_layers", .unit = "layers", .higher_is_better = false, .primary = true}};
}

std::vector<MetricValue> network_values_with_prefix() {
  std::vector<MetricValue> values = network_values();
  values.push_back(
      {.name = "prefix_tokens", .unit = "tokens", .higher_is_better = false, .primary = true});
  return values;
}

Json quantization_result(const models::Network& network, const QuantizedParts& before,
                         const QuantizedModel& made) {
  QuantizedParts parts = before;
  parts.add(made);
  Json result = {{"metrics",
                  {{"bits_per_weight", bits_per_weight(network, parts)},
                   {"weight_bytes", weight_bytes(network, parts)},
                   {"float_layers", float_layers(network, parts).size()},
                   {"quantized_layers", made.layers.size()},
                   {"quantized_sites", made.activations.size()}}},
                 {"quantization",
                  {{"weights", weights_protocol(network, parts)},
                   {"activations", activations_protocol(parts)}}},
                 {"tensors", tensor_ledger(network, parts)}};
  if (parts.prefix > 0) result["metrics"]["prefix_tokens"] = parts.prefix;
  if (const std::string note = note_of(before, made); !note.empty()) add_note(result, note);
  return result;
}

}  // namespace assay::quant
