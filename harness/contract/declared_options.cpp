#include "harness/contract/declared_options.h"

namespace assay {

void OptionDeclarations::bits(int&, const char* name) { names.emplace_back(name); }

void OptionDeclarations::visit(Target target, ParameterSchema schema) {
  constexpr ParameterType kTypes[] = {ParameterType::kBool, ParameterType::kInteger,
                                      ParameterType::kReal, ParameterType::kString,
                                      ParameterType::kIntegers};
  schema.type = kTypes[target.index()];
  std::visit([&](const auto* value) { schema.default_value = *value; }, target);
  names.push_back(schema.name);
  schemas.push_back(std::move(schema));
}

void OptionReader::bits(int& value, const char* name) { value = values_.bits(name); }

void OptionReader::visit(Target target, ParameterSchema schema) {
  OptionDeclarations typed;
  std::visit([&](auto* value) { typed(*value, schema); }, target);
  const Json given = checked_value(typed.schemas.front(), values_.json(schema.name));
  std::visit([&](auto* value) { given.get_to(*value); }, target);
}

}  // namespace assay
