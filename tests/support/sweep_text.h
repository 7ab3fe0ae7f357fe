#pragma once

#include <functional>
#include <string>
#include <vector>

#include "harness/contract/catalogue.h"
#include "harness/spec/sweep.h"
#include "tests/support/temporary_folder.h"
#include "tests/support/test_catalogue.h"

namespace assay::testing {

// Six lines that the trials of most tests start with: models vit and vit2 (data fashion), resnet
// (no weights, data fashion), opt and opt2 (data text).
extern const char* const kModels;

// Loads `text` as sweep.yaml of a fresh folder.
spec::Sweep sweep_of(const std::string& text, const std::vector<std::string>& overrides = {},
                     const Catalogue& catalogue = test_catalogue());

// The refusal of a call without the name of `folder`, and without its kind if that is "config", as
// it is for whatever is wrong in a sweep.
std::string refusal_in(const TemporaryFolder& folder, const std::function<void()>& call);

// The same for loading `text`, which starts "sweep.yaml:<line>:<column>: ".
std::string refusal_of(const std::string& text, const std::vector<std::string>& overrides = {},
                       const Catalogue& catalogue = test_catalogue());

// One line a trial: "vit rtn W4A8 range=minmax", as the planner labels it but with all parameters.
std::string lines_of(const spec::Sweep& sweep);

}  // namespace assay::testing
