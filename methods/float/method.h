#pragma once

#include <vector>

#include "harness/core/stage_context.h"
#include "methods/quant/stage_inputs.h"

// `float`: the model as it is, the row every other one is compared with.

namespace assay::float_method {

MethodDeclaration declaration();
std::vector<StageImplementation> stages(const quant::ModelLoader& loader);

}  // namespace assay::float_method
