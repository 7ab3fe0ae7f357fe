#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "harness/contract/inspection.h"
#include "harness/plan/plan.h"

namespace assay::plan {

// What a plan asks its providers before anything runs: a question for each distinct stage, where
// stages that differ in seeds and shards alone are one.
struct PlanQuestions {
  std::vector<Question> questions;
  std::vector<std::string> digests;     // of each question and those below it, SHA-256
  std::vector<std::uint32_t> of_stage;  // by stage of the plan
};

PlanQuestions questions_of(const Plan& plan);

// A plan without some of its trials and without the stages that only these need. `dropped`: by
// trial, in the order of the plan.
Plan without_trials(Plan plan, const std::vector<bool>& dropped);

}  // namespace assay::plan
