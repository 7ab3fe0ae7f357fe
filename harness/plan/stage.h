#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "harness/base/json.h"
#include "harness/base/shared.h"
#include "harness/contract/catalogue.h"
#include "harness/plan/recipe.h"

namespace assay::plan {

// The entries of a sweep that a stage stands for, by index; -1: none. Not keyed: of two entries
// with the same content it is the first.
struct SweepEntries {
  std::int32_t model = -1;
  std::int32_t data = -1;
  std::int32_t evaluation = -1;
};

// One distinct unit of work of a plan. Two stages are the same work exactly if their keys are
// equal. Plans hold a million of them: what stages have in common they share.
struct Stage {
  SharedText key;     // SHA-256 of recipe_text()
  SharedText name;    // "gptq.quantize"
  std::string label;  // short, for people: "gptq.quantize opt_tiny W3A16", " [2/8]" for a shard
  Recipe recipe;      // everything that decides its bytes, but for `inputs`
  Shared<Json> locations = no_locations();  // paths behind the digests in the recipe; not keyed
  std::vector<StageInput> inputs;           // sorted by name
  // Key of its method's canary, which must have ended well before it starts, though it reads
  // nothing of it; or "". Not keyed. A plan without that canary does not wait for it.
  SharedText canary;
  SharedText provider;                      // Catalogue::provider that runs it
  Resources resources;
  CachePolicy cache = CachePolicy::kShared;
  Retention retention = Retention::kKeep;
  bool exclusive = false;
  SweepEntries entries;
  SharedText residency;  // what a warm executor would hold for it (a model's digest), or ""

  // The recipe (docs/formats/recipe.md), put together on demand.
  std::string recipe_text() const { return recipe.text(inputs); }
  Json recipe_json() const { return Json::parse(recipe_text()); }

 private:
  static const Shared<Json>& no_locations() {
    static const Shared<Json> kNone{Json::object()};
    return kNone;
  }
};

}  // namespace assay::plan
