#include "harness/spec/step_table.h"

#include <fmt/format.h>

#include <algorithm>

#include "harness/spec/load.h"

namespace assay::spec {

std::uint32_t StepTable::intern(const MethodDeclaration& method, const Json& given,
                                const Place& place) {
  return at_place(place, [&] {
    return add(method.name, resolved_parameters(method.parameters, given,
                                                fmt::format("method '{}'", method.name), place));
  });
}

std::uint32_t StepTable::projected(std::uint32_t step, const std::set<std::string>& names,
                                   const std::set<std::string>& except) {
  const auto& all = steps_[step].parameters.get_ref<const Json::object_t&>();
  const auto stays = [&](const auto& item) {
    return names.contains(item.first) && !except.contains(item.first);
  };
  if (std::all_of(all.begin(), all.end(), stays)) return step;
  Json parameters = Json::object();
  for (const auto& item : all) {
    if (stays(item)) parameters[item.first] = item.second;
  }
  return add(steps_[step].method, std::move(parameters));
}

std::uint32_t StepTable::add(std::string method, Json parameters) {
  MethodStep step{.method = std::move(method), .parameters = std::move(parameters), .text = ""};
  const std::string method_text = canonical_json(step.method);
  const std::string parameters_text = canonical_json(step.parameters);
  step.text.reserve(method_text.size() + parameters_text.size() + 32);
  step.text.append("{\"name\":").append(method_text);
  step.text.append(",\"parameters\":").append(parameters_text).append("}");
  const auto [found, inserted] =
      index_.try_emplace(step.text, static_cast<std::uint32_t>(steps_.size()));
  if (inserted) steps_.push_back(std::move(step));
  return found->second;
}

}  // namespace assay::spec
