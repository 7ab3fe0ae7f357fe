#pragma once

#include "methods/method.h"

// Round to nearest: every weight to the nearest point of its grid, activations at calibrated or
// dynamic ranges. Stages rtn.observe (only where activations are quantized) and rtn.quantize.

namespace assay {

Method rtn_method();

namespace rtn {

// Runs the method on a tiny network in a second and throws Error(kMethod) if it does not do what it
// says: 16 bits equal float, fewer bits change it, more bits are not much worse.
void canary();

}  // namespace rtn
}  // namespace assay
