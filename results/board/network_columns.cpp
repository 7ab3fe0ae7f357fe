#include "results/board/network_columns.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>

#include "results/board/quantization.h"

namespace assay::results {
namespace {

constexpr const char* kFloatLayers = "float_layers";

std::string size_text(double bytes) {
  constexpr std::array<const char*, 5> kUnits{"B", "kB", "MB", "GB", "TB"};
  std::size_t unit = 0;
  while (std::fabs(bytes) >= 1000 && unit + 1 < kUnits.size()) {
    bytes /= 1000;
    ++unit;
  }
  return fmt::format("{:.{}f} {}", bytes, unit == 0 ? 0 : 2, kUnits[unit]);
}

// Of several networks, float layers are named where they are few.
std::string count_text(double value, const std::string& names) {
  constexpr std::size_t kMaxNames = 60;
  const std::string count = fmt::format("{:.0f}", value);
  if (value == 0 || names.empty()) return count;
  return names.size() > kMaxNames ? fmt::format("{} ({}...)", count, names.substr(0, kMaxNames))
                                  : fmt::format("{} ({})", count, names);
}

}  // namespace

void NetworkColumns::add(const std::string& run, const ResultRow& row) {
  units_[row.name] = row.unit;
  Value& value = values_[{run, row.trial}][row.name];
  value.value = *row.value;
  if (row.name == kFloatLayers) value.names = float_layers_text(row.quantization);
}

std::vector<std::string> NetworkColumns::names(const Rows& rows) const {
  std::vector<std::string> found;
  for (const auto& [name, unit] : units_) {
    const bool tells = std::any_of(rows.begin(), rows.end(), [&, &n = name](const auto& row) {
      const auto values = values_.find(row);
      if (values == values_.end()) return false;
      const auto value = values->second.find(n);
      return value != values->second.end() && (n != kFloatLayers || value->second.value > 0);
    });
    if (tells) found.push_back(name);
  }
  return found;
}

Column NetworkColumns::column(const std::string& name) const {
  const std::string& unit = units_.at(name);
  const bool said = unit.empty() || unit == "bits" || unit == "bytes" || unit == "layers";
  return {said ? name : name + " " + unit, true};
}

Cell NetworkColumns::cell(const std::string& name, const std::string& run,
                          const std::string& trial) const {
  const auto values = values_.find({run, trial});
  if (values == values_.end() || !values->second.contains(name)) return empty_cell();
  const Value& value = values->second.at(name);
  const std::string& unit = units_.at(name);
  if (unit == "bytes") return {size_text(value.value), value.value};
  if (unit == "layers") return {count_text(value.value, value.names), value.value};
  return number_cell(value.value, 3);
}

}  // namespace assay::results
