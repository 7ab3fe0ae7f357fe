#include "harness/spec/method_expression.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "harness/base/suggest.h"

namespace assay::spec {
namespace {

constexpr std::size_t kMaxSteps = 8;

std::string_view trimmed(std::string_view text) {
  const std::size_t first = text.find_first_not_of(" \t");
  if (first == std::string_view::npos) return {};
  return text.substr(first, text.find_last_not_of(" \t") - first + 1);
}

class Walk {
 public:
  Walk(const Catalogue& catalogue, const InputConditions* conditions)
      : catalogue_(catalogue), conditions_(conditions) {}

  void add(const std::string& name) {
    if (!seen_.insert(name).second) return;
    const StageDeclaration* stage = catalogue_.find_stage(name);
    if (stage == nullptr) return;
    reach_.seed |= stage->random == "seed";
    reach_.calibration_seed |= stage->random == "calibration_seed";
    reach_.data |= stage->reads_data;
    reach_.parameters.insert(stage->reads.begin(), stage->reads.end());
    for (const InputDeclaration& input : stage->inputs) {
      // What decides about an input is read, whatever it decides.
      for (std::string& parameter : parameters_in(input.when)) {
        reach_.deciding.insert(parameter);
        reach_.parameters.insert(std::move(parameter));
      }
      if (conditions_ == nullptr || holds(input.when, *conditions_)) add(input.stage);
    }
  }

  Reach reach() && { return std::move(reach_); }

 private:
  const Catalogue& catalogue_;
  const InputConditions* conditions_;
  std::set<std::string> seen_;
  Reach reach_;
};

}  // namespace

MethodExpression method_expression(std::string_view text, const Place& place,
                                   const Catalogue& catalogue) {
  MethodExpression expression;
  std::vector<std::string> names;
  for (std::size_t start = 0; start <= text.size();) {
    const std::size_t plus = std::min(text.find('+', start), text.size());
    const std::string name(trimmed(text.substr(start, plus - start)));
    const MethodDeclaration* method = catalogue.find_method(name);
    if (method == nullptr) {
      std::vector<std::string> known;
      for (const MethodDeclaration& each : catalogue.methods) known.push_back(each.name);
      refuse(place,
             name.empty() ? fmt::format("method '{}' lacks a name beside '+'", text)
                          : fmt::format("unknown method '{}'{}", name, suggestion(name, known)),
             name);
    }
    names.push_back(name);
    expression.methods.push_back(method);
    start = plus + 1;
  }
  if (names.size() > kMaxSteps) {
    refuse(place,
           fmt::format("{} methods in one composition; at most {}", names.size(), kMaxSteps));
  }
  expression.text = fmt::format("{}", fmt::join(names, " + "));
  return expression;
}

Reach reach_of(const Catalogue& catalogue, const MethodDeclaration& method,
               const InputConditions* conditions) {
  Walk walk(catalogue, conditions);
  for (const std::string& stage : method.extra_stages) walk.add(stage);
  if (!method.network.empty()) walk.add(method.network);
  return std::move(walk).reach();
}

Reach reach_of(const Catalogue& catalogue, const MetricDeclaration& metric,
               const InputConditions* conditions) {
  Walk walk(catalogue, conditions);
  walk.add(metric.stage);
  if (!metric.merge.empty()) walk.add(metric.merge);
  return std::move(walk).reach();
}

}  // namespace assay::spec
