#pragma once

#include <string>
#include <vector>

#include "harness/contract/stage_context.h"

namespace assay {

// The class list of the stage's data set, which stands beside the recipe (locations()["data"]
// ["classes"]) while its digest is in it; empty for data without one. Throws Error(kConfig) if they
// do not fit together.
std::vector<std::string> class_names_of(const StageContext& context);

}  // namespace assay
