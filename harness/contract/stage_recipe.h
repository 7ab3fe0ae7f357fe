#pragma once

#include <cstdint>
#include <string>

#include "harness/contract/precision.h"
#include "harness/contract/stage_context.h"

// The recipe of a stage (docs/formats/recipe.md) as typed values; parameters are read by options
// (declared_options.h), files by stage_files.h. The planner makes recipes, so one that holds
// something of another type is a fault of ours or comes from elsewhere: Error(kConfig) naming the
// member.

namespace assay {

struct StageModel {
  std::string family;  // "": the recipe names none
  Json config;         // of a model without files; null: it has files, or is not read
};
StageModel model_of(const StageContext& context);

// Reader, parameters, split, digests: what a reader is given. Throws Error(kConfig) if the recipe
// has no data.
const Json& data_of(const StageContext& context);

// Part of the recipe's numerics class; a member that the recipe does not name has its default.
struct Numerics {
  std::string device = "cpu";
  Precision precision = Precision::kFloat32;
  std::int64_t threads = 1;    // 1 .. 1024
  std::string cpu_level = "";  // "": any
  std::string mkl = "";        // "": any
};
Numerics numerics_from(const Json& recipe);
Numerics numerics_of(const StageContext& context);

// Which part of the work a stage does: without a member `shard` all of it.
struct Shard {
  std::int64_t index = 0;
  std::int64_t count = 1;
};
Shard shard_of(const StageContext& context);

// Throws Error(kConfig) if the stage was given none.
std::uint64_t seed_of(const StageContext& context);

}  // namespace assay
