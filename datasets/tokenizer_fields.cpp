#include "datasets/tokenizer_fields.h"

#include <fmt/format.h>

#include "harness/core/error.h"

namespace assay::datasets {
namespace {

[[noreturn]] void wrong(const std::string& what, const std::string& name, const char* legal) {
  throw Error(ErrorKind::kData, fmt::format("{}: {} is not {}", what, name, legal));
}

}  // namespace

const Json& member(const Json& json, const std::string& name) {
  static const Json kNull;
  if (!json.is_object()) {
    return kNull;
  }
  const auto found = json.find(name);
  return found == json.end() ? kNull : *found;
}

std::string type_of(const Json& json, const std::string& what) {
  const Json& type = member(json, "type");
  if (!type.is_string()) {
    wrong(what, "type", "a text");
  }
  return type.get<std::string>();
}

std::string text_field(const Json& json, const std::string& name, const std::string& otherwise,
                       const std::string& what) {
  const Json& value = member(json, name);
  if (value.is_null()) {
    return otherwise;
  }
  if (!value.is_string()) {
    wrong(what, name, "a text");
  }
  return value.get<std::string>();
}

bool flag_field(const Json& json, const std::string& name, bool otherwise,
                const std::string& what) {
  const Json& value = member(json, name);
  if (value.is_null()) {
    return otherwise;
  }
  if (!value.is_boolean()) {
    wrong(what, name, "true or false");
  }
  return value.get<bool>();
}

const Json& list_field(const Json& json, const std::string& name, const std::string& what) {
  const Json& value = member(json, name);
  if (!value.is_array()) {
    wrong(what, name, "a list");
  }
  return value;
}

const Json& object_field(const Json& json, const std::string& name, const std::string& what) {
  const Json& value = member(json, name);
  if (!value.is_object()) {
    wrong(what, name, "an object");
  }
  return value;
}

std::int32_t id_value(const Json& value, const std::string& what) {
  constexpr std::int64_t kMaxId = 1 << 24;
  if (!value.is_number_integer() || !value.is_number_unsigned() ||
      value.get<std::uint64_t>() > static_cast<std::uint64_t>(kMaxId)) {
    throw Error(ErrorKind::kData,
                fmt::format("{}: id {} is no integer in 0 to {}", what, value.dump(), kMaxId));
  }
  return value.get<std::int32_t>();
}

}  // namespace assay::datasets
