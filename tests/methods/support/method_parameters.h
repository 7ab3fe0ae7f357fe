#pragma once

#include "harness/contract/catalogue.h"

namespace assay {

// Defaults of a method with some values replaced, and the bits.
inline Json parameters_of(const MethodDeclaration& method, const Json& given, int weight_bits,
                          int activation_bits) {
  Json parameters =
      checked_parameters(method.parameters, given.is_null() ? Json::object() : given, method.name);
  parameters["w_bits"] = weight_bits;
  parameters["a_bits"] = activation_bits;
  if (!parameters.contains("kv_bits")) parameters["kv_bits"] = kFloatBits;
  return parameters;
}

}  // namespace assay
