#pragma once

#include "harness/contract/bits.h"
#include "harness/spec/node.h"

namespace assay::spec {

// "W4A8" -> 4, 8, float; "W4A8KV4" -> 4, 8, 4. Letters of either case. Throws Error(kConfig) with
// the legal range.
Bits parse_bits(const Node& node);

}  // namespace assay::spec
