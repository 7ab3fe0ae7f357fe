#include "methods/quant/float_network.h"

#include <fmt/format.h>

#include "harness/base/error.h"

namespace assay::quant {

void require_float(const char* method, bool weights_rounded, bool activations_rounded,
                   const char* example) {
  if (!weights_rounded && !activations_rounded) return;
  throw Error(ErrorKind::kUnsupported,
              fmt::format("{0} works on float {1}, and a method before it rounds them: let {0} "
                          "come first (\"{2}\")",
                          method, weights_rounded ? "weights" : "activations", example));
}

void require_scale_groups(const models::Network& network) {
  if (!network.scale_groups().empty()) return;
  throw Error(ErrorKind::kUnsupported,
              fmt::format("the channels of family '{}' cannot be scaled", network.info().family));
}

}  // namespace assay::quant
