#include "results/board/provenance.h"

#include <fmt/format.h>

#include <map>
#include <set>
#include <tuple>

#include "harness/contract/catalogue.h"
#include "results/store/fingerprint.h"

namespace assay::results {
namespace {

using Input = std::tuple<std::string, std::string, std::string>;  // what, file, digest

std::string text_in(const Json& object, const char* name) {
  const auto found = object.find(name);
  return found != object.end() && found->is_string() ? found->get<std::string>() : "";
}

// Files as a list of {role, name, digest}, or as a map from name to digest.
void add_files(const std::string& what, const Json& part, std::set<Input>& inputs) {
  const auto files = part.find("files");
  if (files == part.end()) return;
  if (files->is_object()) {
    for (const auto& [name, digest] : files->items()) {
      if (digest.is_string()) inputs.insert({what, name, digest.get<std::string>()});
    }
  }
  if (!files->is_array()) return;
  for (const Json& file : *files) {
    if (!file.is_object()) continue;
    const std::string role = text_in(file, "role");
    inputs.insert({role.empty() ? what : what + " " + role, text_in(file, "name"),
                   text_in(file, "digest")});
  }
}

}  // namespace

Table inputs_table(const std::vector<TrialStageSummary>& stages) {
  std::set<Input> inputs;
  for (const TrialStageSummary& stage : stages) {
    if (!stage.recipe.is_object()) continue;
    if (const auto model = stage.recipe.find("model"); model != stage.recipe.end()) {
      if (model->is_object()) add_files("model", *model, inputs);
    }
    if (const auto data = stage.recipe.find("data"); data != stage.recipe.end()) {
      if (!data->is_object()) continue;
      add_files(fmt::format("data {}/{}", text_in(*data, "reader"), text_in(*data, "split")), *data,
                inputs);
    }
  }
  Table table{.title = "Inputs", .columns = {{"what"}, {"file"}, {"sha256"}}};
  for (const auto& [what, file, digest] : inputs) {
    table.rows.push_back({text_cell(what), text_cell(file), text_cell(digest)});
  }
  return table;
}

Table protocols_table(Reader& reader, const std::vector<ResultRow>& rows) {
  std::map<std::string, std::string> metrics;  // by fingerprint
  for (const ResultRow& row : rows) {
    if (row.fingerprint.empty() || row.metric == kNetworkMetric) continue;
    metrics.emplace(row.fingerprint, row.metric);
  }
  Table table{.title = "Protocols", .columns = {{"protocol"}, {"metric"}, {"field"}, {"value"}}};
  for (const auto& [fingerprint, metric] : metrics) {
    for (const auto& [field, value] : flattened(reader.protocol(fingerprint))) {
      table.rows.push_back({{fingerprint.substr(0, 8), fingerprint}, text_cell(metric),
                            text_cell(field), text_cell(value)});
    }
  }
  return table;
}

}  // namespace assay::results
