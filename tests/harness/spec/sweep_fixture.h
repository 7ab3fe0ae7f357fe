#pragma once

#include <string>
#include <vector>

#include "harness/spec/sweep.h"
#include "tests/support/sweep_text.h"

namespace assay::spec {

// A sweep that starts with the models of most tests.
inline Sweep sweep_with(const std::string& rest, const std::vector<std::string>& overrides = {}) {
  return assay::testing::sweep_of(assay::testing::kModels + rest, overrides);
}

}  // namespace assay::spec
