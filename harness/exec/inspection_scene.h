#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "datasets/headers.h"
#include "harness/contract/inspection.h"
#include "harness/exec/question_context.h"
#include "harness/models/headers.h"
#include "methods/method.h"

namespace assay::exec {

// What is known of a stage that is asked about. Pointers are null where something is not read, or
// is so wrong that nothing can be said of it; that has its refusal then.
struct Scene {
  const Question& question;
  const QuestionContext& context;
  const models::Network* network = nullptr;     // shapes without memory
  const datasets::DataHeaders* data = nullptr;  // its own split, or the one that its images are of
  const datasets::TokenFacts* tokens = nullptr;  // of its input "tokens"
  Rounding before;                              // of the network that the stage is given
};

// The checks of one stage by its name; nothing for a stage without any.
void check_stage(const Scene& scene, Findings& findings);

// What the stage itself rounds, and the bits that it is given; nothing for a stage that rounds
// nothing.
std::optional<Rounding> rounding_of(const Question& question, const QuestionContext& context);

}  // namespace assay::exec
