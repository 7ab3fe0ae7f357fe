#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "harness/base/error.h"
#include "harness/base/suggest.h"
#include "harness/contract/catalogue.h"

// What can be said of a catalogue only beside those of the sweep's other providers: their stages
// may be inputs of its own.

namespace assay {
namespace {

[[noreturn]] void refuse_catalogue(const Catalogue& one, const std::string& problem) {
  throw Error(ErrorKind::kData, fmt::format("provider '{}': {}", one.provider, problem),
              {{"provider", one.provider}});
}

void check_inputs(const Catalogue& joined, const Catalogue& one) {
  std::vector<std::string> legal;
  for (const StageDeclaration& stage : joined.stages) legal.push_back(stage.name);
  for (const StageDeclaration& stage : one.stages) {
    for (const InputDeclaration& input : stage.inputs) {
      if (joined.find_stage(input.stage) != nullptr) continue;
      refuse_catalogue(
          one, fmt::format("input '{}' of stage '{}' refers to stage '{}', which no provider of "
                           "this sweep offers{}",
                           input.name, stage.name, input.stage, suggestion(input.stage, legal)));
    }
  }
}

// Refuses a parameter that `stage`, or what it takes as input, reads and its owner does not have.
struct Reading {
  const Catalogue& joined;
  const Catalogue& one;
  const std::string& owner;  // "method 'gptq'"
  const std::vector<ParameterSchema>& parameters;
  std::set<std::string> seen = {};

  void check(const std::string& name) {
    const StageDeclaration* stage = joined.find_stage(name);
    if (stage == nullptr || !seen.insert(name).second) return;
    for (const std::string& parameter : stage->reads) check_parameter(*stage, parameter);
    for (const InputDeclaration& input : stage->inputs) check(input.stage);
  }

  void check_parameter(const StageDeclaration& stage, const std::string& parameter) const {
    if (bits_named(parameter) != nullptr) return;
    std::vector<std::string> legal{"w_bits", "a_bits", "kv_bits"};
    for (const ParameterSchema& schema : parameters) {
      if (schema.name == parameter) return;
      legal.push_back(schema.name);
    }
    refuse_catalogue(
        one, fmt::format("stage '{}' reads parameter '{}', which {} does not have{}; declare it "
                         "among the parameters of {}",
                         stage.name, parameter, owner, suggestion(parameter, legal), owner));
  }
};

}  // namespace

void check_against(const Catalogue& joined, const Catalogue& one) {
  check_inputs(joined, one);
  for (const MethodDeclaration& method : one.methods) {
    const std::string owner = fmt::format("method '{}'", method.name);
    Reading reading{joined, one, owner, method.parameters};
    if (!method.network.empty()) reading.check(method.network);
    for (const std::string& stage : method.extra_stages) reading.check(stage);
  }
  for (const MetricDeclaration& metric : one.metrics) {
    const std::string owner = fmt::format("metric '{}'", metric.name);
    Reading reading{joined, one, owner, metric.parameters};
    reading.check(metric.stage);
    if (!metric.merge.empty()) reading.check(metric.merge);
  }
}

}  // namespace assay
