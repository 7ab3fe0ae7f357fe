#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "harness/base/json.h"
#include "harness/base/shared.h"

namespace assay::plan {

struct StageInput {
  SharedText name;  // what the stage body asks for
  SharedText key;   // the stage that makes it

  bool operator==(const StageInput&) const = default;
};

// Canonical texts of the members of a recipe that many stages have in common, each with the comma
// after it. Members are sorted by name, so a recipe is these in turn with its own ones between.
struct RecipeFrame {
  std::string data;      // `"data":{...},` or ""
  std::string models;    // `"model":{...},"numerics":{...},`, each where it is read
  std::string revision;  // `"provider":{...},"revision":2`; a provider other than the built-in one
  std::string stage;     // `"stage":"gptq.quantize"`
  bool random = false;   // the seed stands in the recipe
};

// A recipe in canonical form (RFC 8785), in pieces that stages share.
class Recipe {
 public:
  // {}
  Recipe() = default;
  // A recipe that came as a whole, its "inputs" in it.
  Recipe(const Json& whole);  // NOLINT: where a recipe is written down

  // `parameters`: canonical text of that member. `shard` < 0: not fanned out. `trial`: id of the
  // trial that shares the stage with nobody, or "".
  Recipe(std::shared_ptr<const RecipeFrame> frame, SharedText parameters, std::int64_t seed,
         int shard, int shards, SharedText trial);

  // The same recipe for another shard.
  Recipe for_shard(int shard) const;
  bool is_shard() const { return shard_ >= 0; }

  // canonical_json of the recipe, whole.
  std::string text(const std::vector<StageInput>& inputs) const;
  // The same into a buffer of the caller's.
  void write(const std::vector<StageInput>& inputs, std::string& out) const;

  // Recipes of one frame and equal parameters differ in seeds, shards and inputs alone. Null: a
  // recipe that came as a whole.
  const RecipeFrame* frame() const { return frame_.get(); }
  const SharedText& parameters() const { return text_; }

 private:
  std::shared_ptr<const RecipeFrame> frame_;  // null: text_ is the whole recipe
  SharedText text_ = SharedText();            // of "parameters"
  SharedText trial_;
  std::int64_t seed_ = 0;
  int shard_ = -1;
  int shards_ = 0;
};

}  // namespace assay::plan
