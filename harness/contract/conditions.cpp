// The conditions of `when`, on inputs of stages and on parameters of methods.

#include <fmt/format.h>

#include "harness/base/error.h"
#include "harness/contract/bits.h"
#include "harness/contract/catalogue.h"

namespace assay {
namespace {

// "a,b" -> a, b
std::vector<std::string_view> conditions_of(std::string_view when) {
  std::vector<std::string_view> conditions;
  while (!when.empty()) {
    const std::size_t comma = when.find(',');
    conditions.push_back(when.substr(0, comma));
    when = comma == std::string_view::npos ? std::string_view() : when.substr(comma + 1);
  }
  return conditions;
}

// "act=token" or "group!=-1".
struct Comparison {
  std::string_view parameter;  // "": the condition is none
  std::string_view value;
  bool equal = true;
};

Comparison comparison_of(std::string_view condition) {
  const std::size_t equals = condition.find('=');
  if (equals == std::string_view::npos) return {};
  const bool differs = equals > 0 && condition[equals - 1] == '!';
  return {condition.substr(0, differs ? equals - 1 : equals), condition.substr(equals + 1),
          !differs};
}

bool has_value(const Json* parameters, std::string_view name, std::string_view value) {
  if (parameters == nullptr) return false;
  const auto found = parameters->find(name);
  if (found == parameters->end()) return false;
  return found->is_string() ? found->get_ref<const std::string&>() == value
                            : canonical_json(*found) == value;
}

bool holds_one(std::string_view condition, const InputConditions& conditions) {
  const Comparison comparison = comparison_of(condition);
  if (!comparison.parameter.empty()) {
    return has_value(conditions.parameters, comparison.parameter, comparison.value) ==
           comparison.equal;
  }
  if (condition == "quantizes_weights") return conditions.bits.weights < kFloatBits;
  if (condition == "quantizes_activations") return conditions.bits.activations < kFloatBits;
  if (condition == "quantizes_cache") return conditions.bits.cache < kFloatBits;
  if (condition == "task:classification" || condition == "task:language") {
    return conditions.task == condition.substr(5);
  }
  throw Error(ErrorKind::kConfig,
              fmt::format("condition '{}' is not known: expected quantizes_weights, "
                          "quantizes_activations, quantizes_cache, task:classification, task:language, "
                          "PARAMETER=VALUE or PARAMETER!=VALUE",
                          condition),
              {{"condition", std::string(condition)}});
}

std::string phrase_of(std::string_view condition) {
  const Comparison comparison = comparison_of(condition);
  if (!comparison.parameter.empty()) {
    return fmt::format("{}{} {}", comparison.parameter, comparison.equal ? ":" : " other than",
                       comparison.value);
  }
  if (condition == "quantizes_weights") return "weights below 16 bits";
  if (condition == "quantizes_activations") return "activations below 16 bits";
  if (condition == "quantizes_cache") return "keys and values below 16 bits";
  if (condition.starts_with("task:")) return fmt::format("a {} model", condition.substr(5));
  return std::string(condition);
}

}  // namespace

bool holds(std::string_view when, const InputConditions& conditions) {
  bool all = true;
  for (const std::string_view condition : conditions_of(when)) {
    all = holds_one(condition, conditions) && all;  // each is looked at, so that none is unknown
  }
  return all;
}

std::vector<std::string> parameters_in(std::string_view when) {
  std::vector<std::string> names;
  for (const std::string_view condition : conditions_of(when)) {
    const Comparison comparison = comparison_of(condition);
    if (!comparison.parameter.empty()) names.emplace_back(comparison.parameter);
  }
  return names;
}

std::string condition_text(std::string_view when) {
  std::string text;
  for (const std::string_view condition : conditions_of(when)) {
    text += (text.empty() ? "" : " and ") + phrase_of(condition);
  }
  return text;
}

}  // namespace assay
