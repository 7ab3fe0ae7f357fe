#pragma once

#include "harness/exec/registry.h"

namespace assay::exec {

// The main function of an executor that offers what `make_registry` makes. Without arguments it
// speaks the protocol on the descriptor that ASSAY_FD names (3); `--describe` prints the catalogue,
// `--verify [METHOD]` runs canaries, `--version` and `--help` what they say. Exit codes: 0; 1 a
// canary does not hold; 2 usage; 4 a broken stream.
int run_program(int argc, char** argv, Registry (*make_registry)());

}  // namespace assay::exec
