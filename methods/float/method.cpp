#include "methods/float/method.h"

namespace assay::float_method {

MethodDeclaration declaration() {
  return {.name = "float",
          .title = "The model as it is",
          .calibration = "none",
          .traits = {"deterministic", "float"}};
}

std::vector<StageImplementation> stages(const quant::ModelLoader&) { return {}; }

}  // namespace assay::float_method
