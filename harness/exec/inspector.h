#pragma once

#include <vector>

#include "harness/contract/inspection.h"

namespace assay::exec {

// What would fail if the stages of `questions` ran, from headers alone (docs/formats/protocol.md,
// `inspect`). Stages of other providers get an empty answer, but count as inputs of ours.
std::vector<Answer> inspect(const std::vector<Question>& questions);

}  // namespace assay::exec
