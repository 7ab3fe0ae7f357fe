#include "results/board/quantization.h"

#include <fmt/format.h>

#include <algorithm>

namespace assay::results {
namespace {

constexpr const char* kUnstated = "\"unstated\"";

std::string half_of(const Json& quantization, const char* name) {
  if (!quantization.is_object()) return "";
  const Json half = quantization.value(name, Json());
  return half.is_null() ? "" : half.dump();
}

std::string joined(const Json& list) {
  std::string text;
  if (!list.is_array()) return text;
  for (const Json& each : list) {
    if (!each.is_string()) continue;
    text += (text.empty() ? "" : ", ") + each.get<std::string>();
  }
  return text;
}

std::string shown(const Json& half, const char* name) {
  const Json value = half.is_object() ? half.value(name, Json()) : Json();
  return value.is_null() ? "?" : value.is_string() ? value.get<std::string>() : value.dump();
}

}  // namespace

Quantization quantization_of(const ResultRow& row) {
  if (row.quantization.is_null() && !row.bits.empty()) return {kUnstated, kUnstated};
  return {half_of(row.quantization, "weights"), half_of(row.quantization, "activations")};
}

bool fits(const Quantization& row, const Quantization& table) {
  return (row.weights.empty() || row.weights == table.weights) &&
         (row.activations.empty() || row.activations == table.activations);
}

std::vector<Quantization> tables_for(const std::set<Quantization>& rows) {
  std::vector<Quantization> tables;
  for (const Quantization& row : rows) {
    const bool inside = std::any_of(rows.begin(), rows.end(), [&](const Quantization& other) {
      return other != row && fits(row, other);
    });
    if (!inside) tables.push_back(row);
  }
  return tables;
}

std::string float_layers_text(const Json& quantization) {
  const std::string half = half_of(quantization, "weights");
  const Json weights = half.empty() ? Json() : Json::parse(half, nullptr, false);
  return weights.is_object() ? joined(weights.value("float_layers", Json())) : "";
}

std::string quantization_text(const Quantization& quantization) {
  if (quantization.weights == kUnstated) return "by methods that do not say what they quantize";
  std::string text;
  if (!quantization.weights.empty()) {
    const Json half = Json::parse(quantization.weights, nullptr, false);
    text += fmt::format("{} layers", shown(half, "layers"));
    const std::string names =
        half.is_object() ? joined(half.value("float_layers", Json())) : std::string();
    if (!names.empty()) text += fmt::format(" (float: {})", names);
  }
  if (!quantization.activations.empty()) {
    const Json half = Json::parse(quantization.activations, nullptr, false);
    text += fmt::format("{}{} sites", text.empty() ? "" : ", ", shown(half, "sites"));
    const std::string orders =
        half.is_object() ? joined(half.value("rounding", Json())) : std::string();
    if (!orders.empty()) text += fmt::format(" by {}", orders);
  }
  return text;
}

}  // namespace assay::results
