#pragma once

#include <vector>

#include "harness/core/catalogue.h"

namespace assay::datasets {

// Every reader of this folder, for the catalogue.
std::vector<ReaderDeclaration> readers();

}  // namespace assay::datasets
