#pragma once

#include <memory>
#include <set>
#include <string>
#include <vector>

#include "harness/base/json.h"
#include "harness/contract/catalogue.h"
#include "harness/models/network.h"

namespace assay {
class Philox;
}

namespace assay::models {

// A model family. Its file defines NAME_family(); CMakeLists.txt of this folder lists it.
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

// Those of harness/models/CMakeLists.txt, in its order.
std::vector<Family> built_in_families();
const std::vector<Family>& all_families();           // the same, made once
const Family& find_family(const std::string& name);  // throws Error(kConfig) with the nearest name

// For families whose names are one everywhere.
inline std::string keep_name(const std::string& name, const std::set<std::string>&) { return name; }

// As make_network, optionally without memory.
std::unique_ptr<Network> make_network(const std::string& family, const Json& configuration,
                                      bool allocate);

}  // namespace assay::models
