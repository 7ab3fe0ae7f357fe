#pragma once

#include <cstddef>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "harness/contract/stage_context.h"

// How a stage is given what the methods before it made: their artifacts are inputs of their own,
// first to last "network.0", "network.1", ... and "network". One method before it is "network".

namespace assay {

// Name of the artifact at `index` of a chain of `count` >= 1.
std::string network_input(std::size_t index, std::size_t count);

// Whether an input of this name is part of a chain.
bool is_network_input(std::string_view name);

// Whether the input is the network that another stage of the same method has made and this one
// goes on with: "network", without a condition, of a stage without reads_network. The chain of that
// stage, and what it made as the last of it, become inputs of this one.
bool is_own_network(const StageDeclaration& stage, const InputDeclaration& input);

// Whether the artifact of the stage is a network behind those of the methods before its own: the
// stage reads them, or goes on with one that does.
bool works_on_network(const Catalogue& catalogue, const StageDeclaration& stage);

// The artifacts of the methods before this stage, first to last; empty: the model is as it is.
std::vector<std::filesystem::path> network_chain(const StageContext& context);

// What the steps of a composition are called where they must be told apart: their methods, a method
// that occurs again with its number: "train", "rtn", "train.2".
std::vector<std::string> step_names(const std::vector<std::string>& methods);

}  // namespace assay
