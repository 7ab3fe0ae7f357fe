#include "methods/method.h"

// `float`: the model as it is, the row every other one is compared with.

namespace assay {

Method float_method() {
  return {.declaration = {.name = "float",
                          .title = "The model as it is",
                          .calibration = "none",
                          .traits = {"deterministic", "float"}}};
}

}  // namespace assay
