#pragma once

#include <memory>
#include <set>
#include <string>
#include <vector>

#include "harness/core/catalogue.h"
#include "harness/core/json.h"
#include "harness/models/network.h"

namespace assay {
class Philox;
}

namespace assay::models {

// What a model family adds to the registry. One record a family, listed in registry.cpp.
struct Family {
  FamilyDeclaration declaration;

  // `allocate` false: every tensor is a shape without memory, for the loader.
  std::unique_ptr<Network> (*make)(const Json& configuration, bool allocate) = nullptr;

  // The name in our table of a tensor that some checkpoints call otherwise; the name itself if
  // none. `all`: every name of the checkpoint, which tells the convention.
  std::string (*rename)(const std::string& name, const std::set<std::string>& all) = nullptr;

  // The usual initialisation of one parameter, in float32.
  at::Tensor (*initial)(const Network& network, const std::string& name, const at::Tensor& like,
                        Philox& random) = nullptr;

  // Whether a config.json without an exact model type is of this family.
  bool (*describes)(const Json& configuration) = nullptr;
};

const std::vector<Family>& all_families();
const Family& find_family(const std::string& name);  // throws Error(kConfig) with the nearest name

// For families whose names are one everywhere.
inline std::string keep_name(const std::string& name, const std::set<std::string>&) { return name; }

// One per family file.
Family vit_family();
Family resnet_family();
Family cifar_resnet_family();
Family mobilenet_v2_family();
Family opt_family();
Family llama_family();

// As make_network, optionally without memory.
std::unique_ptr<Network> make_network(const std::string& family, const Json& configuration,
                                      bool allocate);

}  // namespace assay::models
