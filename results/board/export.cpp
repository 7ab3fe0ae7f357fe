#include "results/board/export.h"

#include <map>
#include <optional>

#include "results/board/table.h"

namespace assay::results {
namespace {

// Left out is what serves people only, or says how figures are compared.
bool is_exported(std::string_view name) { return name != "label" && name != "samples"; }

std::string csv_text(const std::string& v) { return csv_field(v); }
std::string csv_text(bool v) { return v ? "1" : "0"; }
std::string csv_text(const Json& v) { return csv_field(canonical_json(v)); }
std::string csv_text(const std::optional<double>& v) { return v ? exact_number(*v) : ""; }

struct Costs {
  double paid_s = 0;
  double worth_s = 0;
};

std::map<std::string, Costs> costs_of(const std::vector<CostRow>& cost) {
  std::map<std::string, Costs> sums;
  for (const CostRow& row : cost) {
    sums[row.trial].paid_s += row.paid_s;
    sums[row.trial].worth_s += row.worth_s;
  }
  return sums;
}

std::string csv_header(const ExportOptions& options) {
  std::string line;
  const ResultRow sample;
  ResultRow::fields(sample, [&](const char* name, const auto&) {
    if (is_exported(name)) line += (line.empty() ? "" : ",") + std::string(name);
  });
  return line + (options.timing ? ",trial_paid_s,trial_worth_s\n" : "\n");
}

std::string csv_line(const ResultRow& row, const Costs* costs) {
  std::string line;
  bool first = true;
  ResultRow::fields(row, [&](const char* name, const auto& value) {
    if (!is_exported(name)) return;
    line += (first ? "" : ",") + csv_text(value);
    first = false;
  });
  if (costs) line += "," + exact_number(costs->paid_s) + "," + exact_number(costs->worth_s);
  return line + "\n";
}

Json json_row(const ResultRow& row, const Costs* costs) {
  Json object = Json::object();
  ResultRow::fields(row, [&](const char* name, const auto& value) {
    if (!is_exported(name)) return;
    if constexpr (std::is_same_v<std::decay_t<decltype(value)>, std::optional<double>>) {
      object[name] = value ? Json(*value) : Json();
    } else {
      object[name] = value;
    }
  });
  if (costs) {
    object["trial_paid_s"] = costs->paid_s;
    object["trial_worth_s"] = costs->worth_s;
  }
  return object;
}

}  // namespace

std::string export_rows(const std::vector<ResultRow>& rows, const std::vector<CostRow>& cost,
                        const ExportOptions& options) {
  const auto sums = costs_of(cost);
  std::string out = options.json ? "[" : csv_header(options);
  bool first = true;
  for (const ResultRow& row : rows) {
    if (row.timing && !options.timing) continue;
    std::optional<Costs> costs;
    if (options.timing) {
      const auto found = sums.find(row.trial);
      costs = found == sums.end() ? Costs{} : found->second;
    }
    const Costs* shown = costs ? &*costs : nullptr;
    if (options.json) {
      out += (first ? "\n" : ",\n") +
             json_row(row, shown).dump(-1, ' ', false, Json::error_handler_t::replace);
    } else {
      out += csv_line(row, shown);
    }
    first = false;
  }
  return options.json ? out + "\n]\n" : out;
}

}  // namespace assay::results
