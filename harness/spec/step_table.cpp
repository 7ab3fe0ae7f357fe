#include "harness/spec/step_table.h"

#include <fmt/format.h>

#include "harness/spec/load.h"

namespace assay::spec {

std::uint32_t StepTable::intern(const MethodDeclaration& method, const Json& given,
                                const Place& place) {
  MethodStep step;
  step.method = method.name;
  step.parameters =
      resolved_parameters(method.parameters, given, fmt::format("method '{}'", method.name), place);
  step.text = at_place(place, [&] {
    return fmt::format("{{\"name\":{},\"parameters\":{}}}", canonical_json(step.method),
                       canonical_json(step.parameters));
  });
  const auto [found, inserted] =
      index_.try_emplace(step.text, static_cast<std::uint32_t>(steps_.size()));
  if (inserted) steps_.push_back(std::move(step));
  return found->second;
}

}  // namespace assay::spec
