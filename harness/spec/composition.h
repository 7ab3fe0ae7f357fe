#pragma once

#include "harness/contract/catalogue.h"
#include "harness/spec/method_expression.h"
#include "harness/spec/place.h"

namespace assay::spec {

// In `a + b`, b works on the network that a made. Throws Error(kConfig) at `place`, with the mend,
// if a step makes a network without reading that of the steps before it, or makes a network that is
// not quantized of one that is (training after rounding): the trial would be named for work that
// its network has lost.
void check_composition(const Catalogue& catalogue, const MethodExpression& expression,
                       const Place& place);

}  // namespace assay::spec
