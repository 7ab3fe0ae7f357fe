#include "harness/spec/conditional.h"

namespace assay::spec {

// A parameter that is not read may decide about another one, so this goes on until nothing changes;
// each parameter falls back once at most.
ConditionalParameters conditional_parameters(const MethodDeclaration& method, const Json& given,
                                             InputConditions conditions) {
  ConditionalParameters own{.values = given};
  conditions.parameters = &own.values;
  for (bool changed = true; changed;) {
    changed = false;
    for (const ParameterSchema& schema : method.parameters) {
      if (schema.when.empty() || holds(schema.when, conditions)) continue;
      const Json usual = checked_value(schema, schema.default_value);
      changed = changed || own.values[schema.name] != usual;
      own.values[schema.name] = usual;
    }
  }
  for (const ParameterSchema& schema : method.parameters) {
    if (!schema.when.empty() && !holds(schema.when, conditions)) own.unread.insert(schema.name);
  }
  return own;
}

}  // namespace assay::spec
