#include "harness/spec/method_expression.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <set>

#include "harness/core/suggest.h"

namespace assay::spec {
namespace {

constexpr std::size_t kMaxSteps = 8;

std::string_view trimmed(std::string_view text) {
  const std::size_t first = text.find_first_not_of(" \t");
  if (first == std::string_view::npos) return {};
  return text.substr(first, text.find_last_not_of(" \t") - first + 1);
}

void walk(const Catalogue& catalogue, const std::string& name, std::set<std::string>& seen,
          Reach& reach) {
  if (!seen.insert(name).second) return;
  const StageDeclaration* stage = catalogue.find_stage(name);
  if (stage == nullptr) return;
  reach.seed |= stage->random == "seed";
  reach.calibration_seed |= stage->random == "calibration_seed";
  reach.data |= stage->reads_data;
  reach.network |= stage->reads_network;
  for (const InputDeclaration& input : stage->inputs) walk(catalogue, input.stage, seen, reach);
}

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

Reach reach_of(const Catalogue& catalogue, const std::vector<std::string>& stages) {
  Reach reach;
  std::set<std::string> seen;
  for (const std::string& stage : stages) walk(catalogue, stage, seen, reach);
  return reach;
}

Reach reach_of(const Catalogue& catalogue, const MethodDeclaration& method) {
  std::vector<std::string> stages = method.extra_stages;
  if (!method.network.empty()) stages.push_back(method.network);
  return reach_of(catalogue, stages);
}

Reach reach_of(const Catalogue& catalogue, const MetricDeclaration& metric) {
  std::vector<std::string> stages{metric.stage};
  if (!metric.merge.empty()) stages.push_back(metric.merge);
  return reach_of(catalogue, stages);
}

}  // namespace assay::spec
