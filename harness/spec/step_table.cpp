#include "harness/spec/step_table.h"

#include <fmt/format.h>

#include "harness/spec/load.h"

namespace assay::spec {

std::uint32_t StepTable::intern(const MethodDeclaration& method, const Json& given,
                                const Place& place) {
  return at_place(place, [&] {
    return add(method.name, resolved_parameters(method.parameters, given,
                                                fmt::format("method '{}'", method.name), place));
  });
}

std::uint32_t StepTable::projected(std::uint32_t step, const std::set<std::string>& names) {
  const Json& all = steps_[step].parameters;
  Json parameters = Json::object();
  for (const auto& [name, value] : all.items()) {
    if (names.contains(name)) parameters[name] = value;
  }
  return parameters.size() == all.size() ? step : add(steps_[step].method, std::move(parameters));
}

std::uint32_t StepTable::add(std::string method, Json parameters) {
  MethodStep step{.method = std::move(method), .parameters = std::move(parameters), .text = ""};
  step.text = fmt::format("{{\"name\":{},\"parameters\":{}}}", canonical_json(step.method),
                          canonical_json(step.parameters));
  const auto [found, inserted] =
      index_.try_emplace(step.text, static_cast<std::uint32_t>(steps_.size()));
  if (inserted) steps_.push_back(std::move(step));
  return found->second;
}

}  // namespace assay::spec
