#include <fmt/format.h>

#include <algorithm>

#include "harness/base/suggest.h"
#include "harness/spec/document.h"
#include "harness/spec/load.h"

namespace assay::spec {
namespace {

constexpr std::size_t kMaxName = 100;

void make_path(const ParameterSchema& schema, Node& node) {
  if (schema.type == ParameterType::kPath && node.is_scalar() && !node.text.empty()) {
    resolve_path(node, schema.name);
  }
}

}  // namespace

bool is_list_parameter(const ParameterSchema& schema) {
  return schema.type == ParameterType::kIntegers || schema.type == ParameterType::kReals ||
         schema.type == ParameterType::kStrings;
}

const ParameterSchema* find_schema(const std::vector<ParameterSchema>& schemas,
                                   std::string_view name) {
  const auto found = std::find_if(schemas.begin(), schemas.end(),
                                  [&](const ParameterSchema& s) { return s.name == name; });
  return found == schemas.end() ? nullptr : &*found;
}

std::vector<std::string> names_of(const std::vector<ParameterSchema>& schemas) {
  std::vector<std::string> names;
  for (const ParameterSchema& schema : schemas) names.push_back(schema.name);
  return names;
}

Json parameter_value(const ParameterSchema& schema, Node& node) {
  make_path(schema, node);
  return at_place(node.place, [&] { return checked_value(schema, to_json(node)); });
}

std::vector<Json> parameter_values(const ParameterSchema& schema, Node& node) {
  const bool axis =
      node.is_list() &&
      (!is_list_parameter(schema) ||
       (!node.items.empty() && std::all_of(node.items.begin(), node.items.end(),
                                           [](const Node& item) { return item.is_list(); })));
  if (!axis) return {parameter_value(schema, node)};
  if (node.items.empty()) {
    refuse(node.place, fmt::format("parameter '{}' has an empty list of values", schema.name));
  }
  std::vector<Json> values;
  for (Node& item : node.items) values.push_back(parameter_value(schema, item));
  return values;
}

Json resolved_parameters(const std::vector<ParameterSchema>& schemas, const Json& given,
                         const std::string& owner, const Place& place) {
  return at_place(place, [&] { return checked_parameters(schemas, given, owner); });
}

void check_name(const std::string& name, const Place& place, std::string_view what) {
  const bool legal = !name.empty() && name.size() <= kMaxName &&
                     name.find_first_not_of(
                         "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-+/") ==
                         std::string::npos;
  if (!legal) {
    refuse(place,
           fmt::format("{} '{}': a name has 1 to {} letters, digits and . _ - + /", what,
                       name.substr(0, kMaxName), kMaxName),
           name);
  }
}

}  // namespace assay::spec
