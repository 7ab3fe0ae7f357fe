#include "harness/plan/stage_graph.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "harness/base/error.h"
#include "harness/contract/network_chain.h"

namespace assay::plan {
namespace {

// Names of inputs stand in recipes as they are.
void check_inputs(const StageDeclaration& stage) {
  std::set<std::string> names;
  for (const InputDeclaration& input : stage.inputs) {
    const bool plain =
        !input.name.empty() && std::all_of(input.name.begin(), input.name.end(), [](char c) {
          return c > ' ' && c < 127 && c != '"' && c != '\\';
        });
    const bool given = is_network_input(input.name) && !is_own_network(stage, input);
    if (!plain || given || !names.insert(input.name).second) {
      throw Error(ErrorKind::kData,
                  fmt::format("stage '{}': input '{}' must be a name of its own, of plain letters; "
                              "'network.0' and, with reads_network, 'network' are given, and an "
                              "input 'network' has no condition",
                              stage.name, input.name),
                  {{"stage", stage.name}});
    }
  }
}

}  // namespace

StageGraph::StageGraph(const std::vector<Catalogue>& catalogues) {
  for (std::size_t c = 0; c < catalogues.size(); ++c) {
    for (const StageDeclaration& declaration : catalogues[c].stages) {
      const auto [found, inserted] = index_.try_emplace(declaration.name, stages_.size());
      if (!inserted) {
        throw Error(ErrorKind::kConfig,
                    fmt::format("two providers offer stage '{}': {} and {}", declaration.name,
                                catalogues[stages_[found->second].catalogue].provider,
                                catalogues[c].provider));
      }
      DeclaredStage stage;
      stage.declaration = &declaration;
      stage.catalogue = c;
      stages_.push_back(std::move(stage));
    }
  }
  std::vector<int> colours(stages_.size(), 0);
  for (std::size_t i = 0; i < stages_.size(); ++i) close(i, colours);
}

std::size_t StageGraph::index_of(std::string_view stage) const {
  const auto found = index_.find(stage);
  if (found == index_.end()) {
    throw Error(ErrorKind::kData, fmt::format("the catalogue has no stage '{}'", stage),
                {{"stage", std::string(stage)}});
  }
  return found->second;
}

// Colours: 0 not seen, 1 open, 2 closed. Catalogues are small, so recursion is bounded by them.
void StageGraph::close(std::size_t index, std::vector<int>& colours) {
  DeclaredStage& stage = stages_[index];
  const StageDeclaration& declaration = *stage.declaration;
  if (colours[index] == 2) return;
  if (colours[index] == 1) {
    throw Error(ErrorKind::kData, fmt::format("stage '{}' rests on itself", declaration.name),
                {{"stage", declaration.name}});
  }
  colours[index] = 1;
  check_inputs(declaration);
  stage.model = declaration.reads_model || declaration.reads_tokenizer;
  stage.data = declaration.reads_data;
  stage.network = declaration.reads_network;
  stage.seed = declaration.random == "seed";
  stage.calibration_seed = declaration.random == "calibration_seed";
  for (const std::string& name : declaration.reads) {
    if (name == "w_bits") {
      stage.weight_bits = true;
    } else if (name == "a_bits") {
      stage.activation_bits = true;
    } else if (name == "kv_bits") {
      stage.cache_bits = true;
    } else {
      stage.reads.push_back(name);
    }
  }
  for (const InputDeclaration& input : declaration.inputs) {
    const std::size_t other = index_of(input.stage);
    close(other, colours);
    stage.inputs.push_back(other);
    const DeclaredStage& below = stages_[other];
    // Conditions read the model's task, the bits and parameters.
    stage.model |= below.model || input.when.find("task:") != std::string::npos;
    stage.activation_bits |=
        below.activation_bits || input.when.find("quantizes_activations") != std::string::npos;
    stage.cache_bits |=
        below.cache_bits || input.when.find("quantizes_cache") != std::string::npos;
    stage.data |= below.data;
    stage.weight_bits |=
        below.weight_bits || input.when.find("quantizes_weights") != std::string::npos;
    stage.seed |= below.seed;
    stage.calibration_seed |= below.calibration_seed;
    stage.network |= below.network;
    stage.reads.insert(stage.reads.end(), below.reads.begin(), below.reads.end());
    for (std::string& parameter : parameters_in(input.when)) {
      stage.reads.push_back(std::move(parameter));
    }
  }
  std::sort(stage.reads.begin(), stage.reads.end());
  stage.reads.erase(std::unique(stage.reads.begin(), stage.reads.end()), stage.reads.end());
  colours[index] = 2;
}

}  // namespace assay::plan
