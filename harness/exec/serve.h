#pragma once

#include "harness/exec/channel.h"
#include "harness/exec/registry.h"

namespace assay::exec {

// Speaks the executor protocol until `exit` or the end of the stream, one stage at a time, on the
// calling thread. Throws Error(kData) for a malformed message: the stream cannot be trusted then.
void serve(Channel& channel, const Registry& registry);

}  // namespace assay::exec
