#pragma once

#include <string>
#include <vector>

#include "harness/contract/inspection.h"
#include "harness/plan/plan.h"
#include "harness/plan/questions.h"
#include "harness/spec/sweep.h"

namespace assay::plan {

// What the answers of providers mean for a sweep.
struct Judgement {
  // "sweeps/x.yaml:14:9: model 'tiny': ... (3 trials)": each mistake once, by file, line and
  // column.
  std::vector<std::string> mistakes;
  std::vector<bool> dropped;           // by trial of the plan: its method cannot do it
  std::vector<Impossible> impossible;  // those trials, with the reason
};

// `answers`: one for each question. With `skip` (`run: {impossible: skip}`) a trial with a refusal
// about its method is left out; without, that is a mistake as any other.
Judgement judge(const spec::Sweep& sweep, const Plan& plan, const PlanQuestions& asked,
                const std::vector<Answer>& answers, bool skip);

// The mistakes of a sweep as one message.
std::string mistakes_text(const std::vector<std::string>& mistakes);

}  // namespace assay::plan
