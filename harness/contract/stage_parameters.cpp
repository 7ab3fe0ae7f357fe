#include "harness/contract/stage_parameters.h"

#include <fmt/format.h>

#include "harness/base/error.h"
#include "harness/contract/bits.h"

namespace assay {
namespace {

const Json& parameters_of(const StageContext& context) {
  const Json& recipe = context.recipe();
  const auto found = recipe.find("parameters");
  if (found != recipe.end()) return *found;
  throw Error(ErrorKind::kConfig, "the recipe lacks 'parameters'");
}

[[noreturn]] void refuse_parameter(const std::string& name, const std::string& value,
                                   const char* expected) {
  throw Error(ErrorKind::kConfig,
              fmt::format("parameter '{}' = {}: expected {}", name, value, expected),
              {{"parameter", name}});
}

}  // namespace

StageParameters::StageParameters(const StageContext& context) : values_(parameters_of(context)) {}

bool StageParameters::has(const std::string& name) const { return values_.contains(name); }

const Json& StageParameters::json(const std::string& name) const {
  const auto found = values_.find(name);
  if (found == values_.end()) refuse_parameter(name, "nothing", "a value");
  return *found;
}

const Json& StageParameters::at(const std::string& name, const char* expected,
                                bool (Json::*is)() const) const {
  const auto found = values_.find(name);
  if (found == values_.end()) refuse_parameter(name, "nothing", expected);
  if (!((*found).*is)()) refuse_parameter(name, found->dump(), expected);
  return *found;
}

std::int64_t StageParameters::integer(const std::string& name) const {
  return at(name, "an integer", &Json::is_number_integer).get<std::int64_t>();
}

double StageParameters::real(const std::string& name) const {
  return at(name, "a number", &Json::is_number).get<double>();
}

bool StageParameters::flag(const std::string& name) const {
  return at(name, "true or false", &Json::is_boolean).get<bool>();
}

std::string StageParameters::text(const std::string& name) const {
  return at(name, "a text", &Json::is_string).get<std::string>();
}

int StageParameters::bits(const std::string& name) const {
  const std::int64_t value = integer(name);
  if (value < 1 || value > kFloatBits)
    refuse_parameter(name, std::to_string(value), "1 to 15, or 16 for float");
  return static_cast<int>(value);
}

}  // namespace assay
