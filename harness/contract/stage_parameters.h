#pragma once

#include <cstdint>
#include <string>

#include "harness/contract/stage_context.h"

namespace assay {

// The parameters of a stage's recipe by name, of the type that the body expects:
//
//   const StageParameters parameters(context);
//   const std::int64_t samples = parameters.integer("samples");
//
// The planner checks what a sweep gives against the declarations, so one that is missing or of
// another type is a fault of ours or of a recipe from elsewhere: Error(kConfig) naming it. Borrows
// the context's recipe.
class StageParameters {
 public:
  explicit StageParameters(const StageContext& context);
  explicit StageParameters(const Json& values) : values_(values) {}  // borrowed

  bool has(const std::string& name) const;
  const Json& json(const std::string& name) const;
  std::int64_t integer(const std::string& name) const;
  double real(const std::string& name) const;
  bool flag(const std::string& name) const;
  std::string text(const std::string& name) const;
  // 1 .. 15, or kFloatBits. Throws Error(kConfig) for other values.
  int bits(const std::string& name) const;

 private:
  const Json& at(const std::string& name, const char* expected, bool (Json::*is)() const) const;

  const Json& values_;
};

}  // namespace assay
