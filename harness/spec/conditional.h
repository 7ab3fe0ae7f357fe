#pragma once

#include <set>
#include <string>

#include "harness/base/json.h"
#include "harness/contract/catalogue.h"

namespace assay::spec {

// A method's parameters in a trial whose conditions are known.
struct ConditionalParameters {
  Json values;                   // those that are not read have their defaults
  std::set<std::string> unread;  // their `when` does not hold
};

// `given`: every parameter of the method, canonical. A condition never sees the given value of a
// parameter that is not read itself. `conditions`: bits and task; its parameters are not looked at.
ConditionalParameters conditional_parameters(const MethodDeclaration& method, const Json& given,
                                             InputConditions conditions);

}  // namespace assay::spec
