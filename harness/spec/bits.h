#pragma once

#include "harness/spec/node.h"

namespace assay::spec {

// "W4A8" -> (4, 8). Throws Error(kConfig) with the legal range.
void parse_bits(const Node& node, int& weight_bits, int& activation_bits);

}  // namespace assay::spec
