#pragma once

#include <cstdint>
#include <set>
#include <string>
#include <unordered_map>
#include <vector>

#include "harness/contract/catalogue.h"
#include "harness/spec/sweep.h"

namespace assay::spec {

// Holds each method with its parameters once.
class StepTable {
 public:
  explicit StepTable(std::vector<MethodStep>& steps) : steps_(steps) {}

  // Index of the step. `given` is checked and completed by the method's schemas.
  std::uint32_t intern(const MethodDeclaration& method, const Json& given, const Place& place);
  // Index of `step` with only those of its parameters that are in `names` and not in `except`.
  std::uint32_t projected(std::uint32_t step, const std::set<std::string>& names,
                          const std::set<std::string>& except);
  const MethodStep& operator[](std::uint32_t index) const { return steps_[index]; }

 private:
  std::uint32_t add(std::string method, Json parameters);

  std::vector<MethodStep>& steps_;
  std::unordered_map<std::string, std::uint32_t> index_;
};

}  // namespace assay::spec
