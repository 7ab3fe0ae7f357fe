#include "harness/spec/parameter_use.h"

#include <fmt/format.h>

namespace assay::spec {

void ParameterUse::written(const MethodDeclaration& method, const ParameterSchema& schema,
                           const Place& place) {
  Written& entry = written_[place.text()];
  entry.place = place;
  entry.parameters[{&method, schema.name}] = &schema;
}

void ParameterUse::read(const MethodDeclaration& method, std::uint32_t step,
                        const Json& parameters) {
  if (!steps_.insert(step).second) return;
  methods_.insert(&method);
  for (const auto& item : parameters.items()) read_.insert({&method, item.key()});
}

void ParameterUse::check(const std::string& what) const {
  for (const auto& [text, entry] : written_) {
    const Parameter* unread = nullptr;
    const ParameterSchema* schema = nullptr;
    bool used = false;
    for (const auto& [parameter, declared] : entry.parameters) {
      used = used || read_.contains(parameter);
      if (!methods_.contains(parameter.first)) continue;
      unread = &parameter;
      schema = declared;
    }
    if (used || unread == nullptr) continue;
    const std::string mend =
        schema->when.empty()
            ? fmt::format("no trial of {} has a stage that reads it (calibration of activations "
                          "that stay float, say); remove it",
                          what)
            : fmt::format("it is read only with {}, and no trial of {} has that; write that too, "
                          "or remove '{}'",
                          condition_text(schema->when), what, schema->name);
    refuse(entry.place,
           fmt::format("parameter '{}' of method '{}' is not read: {}", schema->name,
                       unread->first->name, mend),
           schema->name);
  }
}

}  // namespace assay::spec
