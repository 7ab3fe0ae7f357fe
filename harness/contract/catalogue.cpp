#include "harness/contract/catalogue.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>

#include "harness/base/error.h"
#include "harness/base/suggest.h"

namespace assay {
namespace {

template <typename Record>
const Record* find_by_name(const std::vector<Record>& records, std::string_view name) {
  const auto found =
      std::find_if(records.begin(), records.end(), [&](const Record& r) { return r.name == name; });
  return found == records.end() ? nullptr : &*found;
}

template <typename Record>
void append(std::vector<Record>& all, const std::vector<Record>& more, std::string_view what,
            std::string_view provider) {
  for (const Record& record : more) {
    if (find_by_name(all, record.name) != nullptr) {
      throw Error(ErrorKind::kConfig,
                  fmt::format("provider '{}' offers {} '{}', which another provider offers too",
                              provider, what, record.name),
                  {{"provider", std::string(provider)}, {"name", record.name}});
    }
    all.push_back(record);
  }
}

[[noreturn]] void refuse_value(const ParameterSchema& schema, const Json& value,
                               const std::string& legal) {
  throw Error(ErrorKind::kConfig,
              fmt::format("parameter '{}' = {}: expected {}", schema.name, value.dump(), legal),
              {{"parameter", schema.name}, {"value", value.dump()}});
}

std::string range_text(const ParameterSchema& schema, std::string_view noun) {
  std::string text(noun);
  if (schema.minimum && schema.maximum) {
    text += fmt::format(" from {} to {}", *schema.minimum, *schema.maximum);
  } else if (schema.minimum) {
    text += fmt::format(" of at least {}", *schema.minimum);
  } else if (schema.maximum) {
    text += fmt::format(" of at most {}", *schema.maximum);
  }
  if (!schema.unit.empty()) text += fmt::format(" ({})", schema.unit);
  return text;
}

void check_range(const ParameterSchema& schema, const Json& value, double number,
                 const std::string& legal) {
  if (!std::isfinite(number) || (schema.minimum && number < *schema.minimum) ||
      (schema.maximum && number > *schema.maximum)) {
    refuse_value(schema, value, legal);
  }
}

Json checked_integer(const ParameterSchema& schema, const Json& value) {
  const std::string legal = range_text(schema, "an integer");
  if (value.is_number_integer()) {
    check_range(schema, value, value.get<double>(), legal);
    // A recipe holds what a double holds exactly.
    constexpr double kMost = 0x1p53;
    if (std::fabs(value.get<double>()) >= kMost)
      refuse_value(schema, value, legal + ", below 2^53");
    return value;
  }
  if (value.is_number_float()) {
    const double number = value.get<double>();
    if (std::isfinite(number) && number == std::floor(number) && std::fabs(number) < 9e15) {
      check_range(schema, value, number, legal);
      return static_cast<std::int64_t>(number);
    }
  }
  refuse_value(schema, value, legal);
}

Json checked_real(const ParameterSchema& schema, const Json& value) {
  const std::string legal = range_text(schema, "a number");
  if (!value.is_number()) refuse_value(schema, value, legal);
  const double number = value.get<double>();
  check_range(schema, value, number, legal);
  return number;
}

Json checked_string(const ParameterSchema& schema, const Json& value) {
  if (!value.is_string()) {
    refuse_value(schema, value,
                 schema.choices.empty()
                     ? "a text"
                     : fmt::format("one of {}", fmt::join(schema.choices, ", ")));
  }
  const auto& text = value.get_ref<const std::string&>();
  if (!schema.choices.empty() &&
      std::find(schema.choices.begin(), schema.choices.end(), text) == schema.choices.end()) {
    const std::string near = nearest(text, schema.choices);
    refuse_value(schema, value,
                 fmt::format("one of {}{}", fmt::join(schema.choices, ", "),
                             near.empty() ? "" : fmt::format("; did you mean '{}'?", near)));
  }
  return value;
}

template <typename Check>
Json checked_list(const ParameterSchema& schema, const Json& value, Check check) {
  if (!value.is_array()) return Json::array({check(schema, value)});
  Json list = Json::array();
  for (const Json& element : value) list.push_back(check(schema, element));
  return list;
}

}  // namespace

Json checked_value(const ParameterSchema& schema, const Json& value) {
  switch (schema.type) {
    case ParameterType::kBool:
      if (!value.is_boolean()) refuse_value(schema, value, "true or false");
      return value;
    case ParameterType::kInteger:
      return checked_integer(schema, value);
    case ParameterType::kReal:
      return checked_real(schema, value);
    case ParameterType::kString:
    case ParameterType::kPath:
      return checked_string(schema, value);
    case ParameterType::kIntegers:
      return checked_list(schema, value, checked_integer);
    case ParameterType::kReals:
      return checked_list(schema, value, checked_real);
    case ParameterType::kStrings:
      return checked_list(schema, value, checked_string);
  }
  refuse_value(schema, value, "a known parameter type");
}

Json checked_parameters(const std::vector<ParameterSchema>& schemas, const Json& given,
                        std::string_view owner) {
  if (!given.is_object()) {
    throw Error(ErrorKind::kConfig,
                fmt::format("{}: parameters must be a mapping, not {}", owner, given.dump()));
  }
  std::vector<std::string> names;
  for (const ParameterSchema& schema : schemas) names.push_back(schema.name);
  for (const auto& item : given.items()) {
    if (std::find(names.begin(), names.end(), item.key()) == names.end()) {
      throw Error(ErrorKind::kConfig,
                  fmt::format("{} has no parameter '{}'{}", owner, item.key(),
                              suggestion(item.key(), names)),
                  {{"parameter", item.key()}});
    }
  }
  Json result = Json::object();
  for (const ParameterSchema& schema : schemas) {
    if (given.contains(schema.name)) {
      result[schema.name] = checked_value(schema, given.at(schema.name));
    } else if (!schema.default_value.is_null()) {
      result[schema.name] = checked_value(schema, schema.default_value);
    } else {
      throw Error(ErrorKind::kConfig,
                  fmt::format("{} needs parameter '{}': {}", owner, schema.name, schema.doc),
                  {{"parameter", schema.name}});
    }
  }
  return result;
}

Catalogue joined(const std::vector<Catalogue>& catalogues) {
  Catalogue all;
  for (const Catalogue& each : catalogues) {
    if (&each == catalogues.data()) {
      all = each;
      continue;
    }
    append(all.stages, each.stages, "stage", each.provider);
    append(all.methods, each.methods, "method", each.provider);
    append(all.metrics, each.metrics, "metric", each.provider);
    append(all.families, each.families, "family", each.provider);
    append(all.readers, each.readers, "reader", each.provider);
  }
  return all;
}

const StageDeclaration* Catalogue::find_stage(std::string_view name) const {
  return find_by_name(stages, name);
}
const MethodDeclaration* Catalogue::find_method(std::string_view name) const {
  return find_by_name(methods, name);
}
const MetricDeclaration* Catalogue::find_metric(std::string_view name) const {
  return find_by_name(metrics, name);
}
const FamilyDeclaration* Catalogue::find_family(std::string_view name) const {
  return find_by_name(families, name);
}
const ReaderDeclaration* Catalogue::find_reader(std::string_view name) const {
  return find_by_name(readers, name);
}

}  // namespace assay
