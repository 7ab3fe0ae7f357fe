#pragma once

#include "methods/method.h"

// NF4: weights to the nearest of the 16 levels of NormalFloat. One stage, nf4.quantize, which reads
// no data.

namespace assay {

Method nf4_method();

namespace nf4 {

// Runs the method on a tiny network in a second. Throws Error(kMethod) if blocks of one weight are
// not exact, if larger blocks are not worse, or if quantized scales change nothing or much.
void canary();

}  // namespace nf4
}  // namespace assay
