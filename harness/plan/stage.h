#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "harness/core/catalogue.h"
#include "harness/core/json.h"

namespace assay::plan {

struct StageInput {
  std::string name;  // what the stage body asks for
  std::string key;   // the stage that makes it

  bool operator==(const StageInput&) const = default;
};

// One distinct unit of work of a plan. Two stages are the same work exactly if their keys are
// equal.
struct Stage {
  std::string key;   // SHA-256 of canonical_json(recipe)
  std::string name;  // "gptq.quantize"
  std::string
      label;    // short, for people: "gptq.quantize opt_tiny W3A16", with " [2/8]" for a shard
  Json recipe;  // everything that decides its bytes (docs/formats/recipe.md)
  Json locations = Json::object();  // paths behind the digests in the recipe; not keyed
  std::vector<StageInput> inputs;   // sorted by name
  std::string provider;             // Catalogue::provider that runs it
  Resources resources;
  CachePolicy cache = CachePolicy::kShared;
  Retention retention = Retention::kKeep;
  bool exclusive = false;
  std::string residency;  // what a warm executor would hold for it (a model's digest), or ""
};

}  // namespace assay::plan
