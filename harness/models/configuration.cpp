#include "harness/models/configuration.h"

#include <fmt/format.h>

#include <utility>

#include "harness/base/error.h"

namespace assay::models {
namespace {

ParameterSchema field_of(std::string name, ParameterType type, Json fallback, std::string doc) {
  ParameterSchema schema;
  schema.name = std::move(name);
  schema.type = type;
  schema.default_value = std::move(fallback);
  schema.doc = std::move(doc);
  return schema;
}

ParameterSchema bounded(ParameterSchema schema, double minimum, double maximum) {
  schema.minimum = minimum;
  schema.maximum = maximum;
  return schema;
}

}  // namespace

Configuration::Configuration(std::string family, const std::vector<ParameterSchema>& fields,
                             const Json& given)
    : family_(std::move(family)), given_(given), values_(Json::object()) {
  if (!given_.is_object())
    throw Error(ErrorKind::kConfig,
                fmt::format("the configuration of family '{}' is not a JSON object", family_));
  for (const ParameterSchema& field : fields) {
    const auto found = given_.find(field.name);
    const bool absent = found == given_.end() || found->is_null();
    if (absent && field.default_value.is_null()) reject(field.name, "is missing");
    try {
      values_[field.name] = checked_value(field, absent ? field.default_value : *found);
    } catch (const Error& error) {
      throw Error(error.kind(),
                  fmt::format("configuration of family '{}': {}", family_, error.what()),
                  {{"family", family_}, {"field", field.name}});
    }
  }
}

std::int64_t Configuration::integer(const std::string& field) const {
  return values_.at(field).get<std::int64_t>();
}
double Configuration::real(const std::string& field) const {
  return values_.at(field).get<double>();
}
bool Configuration::flag(const std::string& field) const { return values_.at(field).get<bool>(); }
std::string Configuration::text(const std::string& field) const {
  return values_.at(field).get<std::string>();
}
std::vector<std::int64_t> Configuration::integers(const std::string& field) const {
  return values_.at(field).get<std::vector<std::int64_t>>();
}
std::vector<double> Configuration::reals(const std::string& field) const {
  return values_.at(field).get<std::vector<double>>();
}

void Configuration::require(const std::string& field, const Json& only,
                            std::string_view reason) const {
  const auto found = given_.find(field);
  if (found == given_.end() || found->is_null() || *found == only) return;
  throw Error(ErrorKind::kUnsupported,
              fmt::format("configuration of family '{}': '{}' is {}, only {} is supported: {}",
                          family_, field, found->dump(), only.dump(), reason),
              {{"family", family_}, {"field", field}});
}

void Configuration::reject(const std::string& field, const std::string& problem) const {
  throw Error(ErrorKind::kConfig,
              fmt::format("configuration of family '{}': '{}' {}", family_, field, problem),
              {{"family", family_}, {"field", field}});
}

ParameterSchema integer_field(std::string name, Json fallback, double minimum, double maximum,
                              std::string doc) {
  return bounded(
      field_of(std::move(name), ParameterType::kInteger, std::move(fallback), std::move(doc)),
      minimum, maximum);
}

ParameterSchema real_field(std::string name, Json fallback, double minimum, double maximum,
                           std::string doc) {
  return bounded(
      field_of(std::move(name), ParameterType::kReal, std::move(fallback), std::move(doc)), minimum,
      maximum);
}

ParameterSchema flag_field(std::string name, bool fallback, std::string doc) {
  return field_of(std::move(name), ParameterType::kBool, fallback, std::move(doc));
}

ParameterSchema text_field(std::string name, Json fallback, std::vector<std::string> choices,
                           std::string doc) {
  ParameterSchema schema =
      field_of(std::move(name), ParameterType::kString, std::move(fallback), std::move(doc));
  schema.choices = std::move(choices);
  return schema;
}

ParameterSchema reals_field(std::string name, Json fallback, double minimum, double maximum,
                            std::string doc) {
  return bounded(
      field_of(std::move(name), ParameterType::kReals, std::move(fallback), std::move(doc)),
      minimum, maximum);
}

ParameterSchema integers_field(std::string name, Json fallback, double minimum, double maximum,
                               std::string doc) {
  return bounded(
      field_of(std::move(name), ParameterType::kIntegers, std::move(fallback), std::move(doc)),
      minimum, maximum);
}

}  // namespace assay::models
