#include "results/board/rows.h"

#include <fmt/format.h>

#include <set>
#include <tuple>

#include "harness/contract/network_chain.h"

namespace assay::results {

RunResults load(Reader& reader, const std::string& run) {
  RunResults all{.run = run,
                 .results = reader.results(),
                 .trials = reader.trials(),
                 .cost = reader.cost(),
                 .stages = reader.stage_costs(),
                 .notes = reader.notes()};
  for (const ResultRow& row : all.results) {
    if (row.fingerprint.empty() || all.protocols.contains(row.fingerprint)) continue;
    all.protocols[row.fingerprint] = reader.protocol(row.fingerprint);
  }
  return all;
}

std::string repeat_key(const Json& identity) {
  Json without = identity;
  if (without.is_object()) {
    without.erase("seed");
    without.erase("calibration_seed");
  }
  return canonical_json(without);
}

std::string seeds_text(const Json& identity) {
  std::string text;
  for (const char* name : {"seed", "calibration_seed"}) {
    if (!identity.is_object() || !identity.contains(name)) continue;
    text += fmt::format("{}{}={}", text.empty() ? "" : " ", name, identity[name].dump());
  }
  return text;
}

std::map<std::string, std::string> parameters_of(const Json& identity) {
  std::map<std::string, std::string> parameters;
  const auto text = [](const Json& value) {
    return value.is_string() ? value.get<std::string>() : canonical_json(value);
  };
  if (!identity.is_object()) return parameters;
  if (identity.contains("calibration_data")) {
    parameters["calibration_data"] = text(identity["calibration_data"]);
  }
  const Json steps = identity.value("method", Json::array());
  if (!steps.is_array()) return parameters;
  std::vector<std::string> methods;
  for (const Json& step : steps) {
    const Json name = step.is_object() ? step.value("name", Json()) : Json();
    methods.push_back(name.is_string() ? name.get<std::string>() : "");
  }
  const std::vector<std::string> names = step_names(methods);
  for (std::size_t i = 0; i < steps.size(); ++i) {
    const Json values =
        steps[i].is_object() ? steps[i].value("parameters", Json::object()) : Json::object();
    const std::string owner = names.size() > 1 ? names[i] + "." : "";
    for (const auto& [parameter, value] : values.items()) {
      parameters[owner + parameter] = text(value);
    }
  }
  return parameters;
}

std::map<std::string, std::string> distinguishing_parameters(
    const std::vector<const ResultRow*>& rows, const std::map<std::string, Json>& chosen) {
  using Values = std::map<std::string, std::set<std::string>>;  // by parameter
  std::map<std::string, std::map<std::string, std::string>> of_trial;
  std::map<std::tuple<std::string, std::string, std::string>, Values>
      seen;  // by model, method, bits
  for (const ResultRow* row : rows) {
    if (of_trial.contains(row->trial)) continue;
    of_trial[row->trial] = parameters_of(row->identity);
    for (const auto& [name, value] : of_trial[row->trial]) {
      seen[{row->model, row->method, row->bits}][name].insert(value);
    }
  }
  std::map<std::string, std::string> texts;
  for (const ResultRow* row : rows) {
    if (texts.contains(row->trial)) continue;
    std::string& text = texts[row->trial];
    const auto own = chosen.find(row->trial);
    for (const auto& [name, value] : of_trial[row->trial]) {
      const bool off_default = own != chosen.end() && own->second.contains(name);
      if (!off_default && seen[{row->model, row->method, row->bits}][name].size() < 2) continue;
      text += (text.empty() ? "" : " ") + name + "=" + value;
    }
  }
  return texts;
}

}  // namespace assay::results
