#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "harness/base/error.h"
#include "harness/contract/catalogue.h"
#include "harness/plan/inputs.h"
#include "harness/plan/plan.h"
#include "harness/spec/sweep.h"

namespace assay::plan {

struct PlanOptions {
  bool share = true;                  // false: no stage serves two trials (--no-share)
  std::optional<std::int64_t> limit;  // samples of every evaluation that can be limited (--limit)
  // Where it is set, a trial that cannot be planned (a missing file, say) is left out and its error
  // handed to this; otherwise the error is thrown.
  std::function<void(const Error&)> on_refusal;
  // Told what to know of the inputs before anything runs: files passed over, absent classes.
  std::function<void(const std::string&)> on_note;
};

// The distinct work of a sweep: stages with their keys, inputs before consumers, and the trials
// that rest on them. Pure but for `digests`. Throws Error(kConfig): a trial that cannot be (a
// method that does not fit the family, calibration data that is not there), a missing input file
// with the places that were looked at.
// Stages of providers other than the built-in one ("assay") carry its name and version in their
// recipes. `sweep` was loaded with joined(catalogues).
Plan make_plan(const spec::Sweep& sweep, const std::vector<Catalogue>& catalogues,
               InputDigests& digests, const PlanOptions& options = {});
Plan make_plan(const spec::Sweep& sweep, const Catalogue& catalogue, InputDigests& digests,
               const PlanOptions& options = {});

// The trials for which `expression` (spec::Expression) holds, and the stages that they need. Names:
// id, model, family, task, method, bits, w_bits, a_bits, seed, calibration_seed, calibration_data,
// ablation, and the parameters of the methods ("images", "psaq_vit.images"). Throws Error(kConfig)
// for a malformed expression, and if no trial is left.
Plan filter_trials(const Plan& plan, const std::string& expression);

}  // namespace assay::plan
