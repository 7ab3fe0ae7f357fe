#include "harness/plan/method_steps.h"

#include <fmt/format.h>

#include <string_view>

#include "harness/plan/network_context.h"

namespace assay::plan {
namespace {

constexpr const char* kContext = "context";

// The defaults of a method's parameters, in the form that a sweep's values have once checked.
Json checked_defaults(const MethodDeclaration& method) {
  Json defaults = Json::object();
  for (const ParameterSchema& schema : method.parameters) {
    if (schema.default_value.is_null()) continue;
    defaults[schema.name] = checked_value(schema, schema.default_value);
  }
  return defaults;
}

PreparedStep prepared(const spec::MethodStep& step, const MethodDeclaration& method,
                      const Json& defaults, const Catalogue& catalogue) {
  PreparedStep result{.method = &method,
                      .parameters = step.parameters,
                      .network_values = method.values,
                      .draws_windows = draws_windows(catalogue, method.network)};
  for (const ParameterSchema& schema : method.parameters) {
    const auto value = step.parameters.find(schema.name);
    const auto usual = defaults.find(schema.name);
    if (value == step.parameters.end()) {  // not read by the step's trials
      if (usual != defaults.end()) result.parameters[schema.name] = *usual;
    } else if (usual == defaults.end() || *usual != *value) {
      result.chosen.emplace_back(schema.name, *value);
    }
  }
  return result;
}

}  // namespace

MethodSteps::MethodSteps(const spec::Sweep& sweep, const Catalogue& catalogue,
                         InputDigests& digests)
    : sweep_(sweep), catalogue_(catalogue), digests_(digests) {
  std::map<std::string_view, Json> defaults;  // by method
  steps_.reserve(sweep.steps.size());         // sets point into the elements
  for (const spec::MethodStep& step : sweep.steps) {
    const MethodDeclaration& method = *catalogue.find_method(step.method);
    const auto [own, fresh] = defaults.try_emplace(method.name);
    if (fresh) own->second = checked_defaults(method);
    PreparedStep& added = steps_.emplace_back(prepared(step, method, own->second, catalogue));
    added.set = {steps_.size() - 1, &added.parameters, fmt::format("method '{}'", step.method)};
  }
}

const ParameterSet& MethodSteps::parameters(std::uint32_t step, const spec::Trial& trial) {
  const PreparedStep& own = steps_[step];
  const Json& read = sweep_.steps[step].parameters;
  const auto context = read.find(kContext);
  if (context == read.end() || !context->is_number_integer()) return own.set;
  if (!own.draws_windows) return own.set;
  const std::pair key(step, trial.model);
  if (const auto found = resolved_.find(key); found != resolved_.end()) return found->second.set;
  const spec::Model& model = sweep_.models[trial.model];
  // Before anything is kept: a model whose files are missing is refused once a trial.
  const std::int64_t windows =
      calibration_context(context->get<std::int64_t>(),
                          network_context(model, catalogue_, digests_), model, own.method->name);
  Resolved& resolved = resolved_[key];
  resolved.parameters = own.parameters;
  resolved.parameters[kContext] = windows;
  // Past the numbers of steps and of evaluations.
  resolved.set = {sweep_.steps.size() + sweep_.evaluations.size() + resolved_.size(),
                  &resolved.parameters, own.set.owner};
  return resolved.set;
}

}  // namespace assay::plan
