#include "harness/spec/composition.h"

#include <fmt/format.h>

#include <algorithm>

#include "harness/contract/network_chain.h"

namespace assay::spec {
namespace {

bool is_quantizer(const MethodDeclaration& method) {
  return std::find(method.traits.begin(), method.traits.end(), "quantizer") != method.traits.end();
}

bool reads_network(const Catalogue& catalogue, const MethodDeclaration& method) {
  const StageDeclaration* stage = catalogue.find_stage(method.network);
  return stage != nullptr && works_on_network(catalogue, *stage);
}

void check_pair(const Catalogue& catalogue, const MethodDeclaration& before,
                const MethodDeclaration& method, const MethodExpression& expression,
                const Place& place) {
  if (!reads_network(catalogue, method)) {
    refuse(place,
           fmt::format("'{}': '{}' does not work on the network that '{}' made (its stage '{}' "
                       "lacks reads_network), so nothing of that would be left; write the two as "
                       "trials of their own",
                       expression.text, method.name, before.name, method.network),
           method.name);
  }
  if (is_quantizer(before) && !is_quantizer(method)) {
    refuse(place,
           fmt::format("'{}': '{}' makes a network of its own from what '{}' quantized, and that "
                       "network is not quantized any more; write '{} + {}'",
                       expression.text, method.name, before.name, method.name, before.name),
           method.name);
  }
}

}  // namespace

void check_composition(const Catalogue& catalogue, const MethodExpression& expression,
                       const Place& place) {
  std::vector<const MethodDeclaration*> before;  // those that make a network
  for (const MethodDeclaration* method : expression.methods) {
    if (method->network.empty()) continue;
    for (const MethodDeclaration* each : before) {
      check_pair(catalogue, *each, *method, expression, place);
    }
    before.push_back(method);
  }
}

}  // namespace assay::spec
