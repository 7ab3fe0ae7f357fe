#pragma once

#include <exception>

#include "harness/contract/protocol.h"

namespace assay::exec {

// What the supervisor is told about an exception that ended a stage: an assay::Error keeps its kind
// and context; running out of memory, in LibTorch or in the standard library, is `oom`; a file
// system error is `io`; everything else counts as `method`.
protocol::Failure failure_from(const std::exception_ptr& exception);

}  // namespace assay::exec
