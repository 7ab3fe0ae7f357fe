#include "harness/base/json_members.h"

#include <fmt/format.h>

#include "harness/base/error.h"
#include "harness/base/utf8.h"

namespace assay {
namespace {

// The member, of which `is` holds.
const Json& checked(const Json& json, std::string_view name, std::string_view what,
                    bool (Json::*is)() const noexcept, const char* expected) {
  if (!json.is_object())
    throw Error(ErrorKind::kData, fmt::format("{}: must be an object, not {}", what, shown(json)));
  const auto found = json.find(name);
  const std::string problem =
      found == json.end() ? fmt::format("'{}' is missing in {}", name, shown(json))
      : !((*found).*is)() ? fmt::format("'{}' must be {}, not {}", name, expected, shown(*found))
                          : "";
  if (problem.empty()) return *found;
  throw Error(ErrorKind::kData, fmt::format("{}: {}", what, problem),
              {{"field", std::string(name)}});
}

}  // namespace

const Json& member(const Json& json, std::string_view name) {
  static const Json kNull;
  if (!json.is_object()) return kNull;
  const auto found = json.find(name);
  return found == json.end() ? kNull : *found;
}

std::string shown(const Json& value) {
  constexpr std::size_t kMost = 100;
  return utf8_text(value.dump(-1, ' ', false, Json::error_handler_t::replace).substr(0, kMost));
}

std::string text_member(const Json& json, std::string_view name, std::string_view what) {
  return checked(json, name, what, &Json::is_string, "a text").get<std::string>();
}

std::string text_member_or(const Json& json, std::string_view name, std::string_view otherwise,
                           std::string_view what) {
  return member(json, name).is_null() ? std::string(otherwise) : text_member(json, name, what);
}

bool flag_member(const Json& json, std::string_view name, std::string_view what) {
  return checked(json, name, what, &Json::is_boolean, "true or false").get<bool>();
}

bool flag_member_or(const Json& json, std::string_view name, bool otherwise,
                    std::string_view what) {
  return member(json, name).is_null() ? otherwise : flag_member(json, name, what);
}

std::int64_t integer_member(const Json& json, std::string_view name, std::string_view what) {
  return checked(json, name, what, &Json::is_number_integer, "an integer").get<std::int64_t>();
}

double number_member(const Json& json, std::string_view name, std::string_view what) {
  return checked(json, name, what, &Json::is_number, "a number").get<double>();
}

const Json& list_member(const Json& json, std::string_view name, std::string_view what) {
  return checked(json, name, what, &Json::is_array, "a list");
}

const Json& object_member(const Json& json, std::string_view name, std::string_view what) {
  return checked(json, name, what, &Json::is_object, "an object");
}

const Json& object_member_or_empty(const Json& json, std::string_view name, std::string_view what) {
  static const Json kEmpty = Json::object();
  return json.is_object() && !json.contains(name) ? kEmpty : object_member(json, name, what);
}

std::map<std::string, std::string> texts_member(const Json& json, std::string_view name,
                                                std::string_view what) {
  std::map<std::string, std::string> texts;
  for (const auto& [key, value] : object_member(json, name, what).items()) {
    if (!value.is_string())
      throw Error(ErrorKind::kData, fmt::format("{}: '{}' must be an object of texts, not of {}",
                                                what, name, shown(value)));
    texts[key] = value.get<std::string>();
  }
  return texts;
}

}  // namespace assay
