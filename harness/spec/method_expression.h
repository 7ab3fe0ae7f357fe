#pragma once

#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "harness/contract/catalogue.h"
#include "harness/spec/place.h"

namespace assay::spec {

// "smoothquant + gptq": methods applied left to right.
struct MethodExpression {
  std::string text;  // canonical: names joined by " + "
  std::vector<const MethodDeclaration*> methods;
};

// Throws Error(kConfig) for an unknown method (with the nearest), an empty part, more than 8 steps.
MethodExpression method_expression(std::string_view text, const Place& place,
                                   const Catalogue& catalogue);

// What the stages of a method or metric read, through all their inputs.
struct Reach {
  bool seed = false;
  bool calibration_seed = false;
  bool data = false;                 // of the split of who asks, or another
  std::set<std::string> parameters;  // w_bits and a_bits as well
  std::set<std::string> deciding;    // of `parameters`: whether an input exists depends on them
};
// Only inputs whose `when` holds under `conditions` count; without conditions every one does.
Reach reach_of(const Catalogue& catalogue, const MethodDeclaration& method,
               const InputConditions* conditions = nullptr);
Reach reach_of(const Catalogue& catalogue, const MetricDeclaration& metric,
               const InputConditions* conditions = nullptr);

}  // namespace assay::spec
