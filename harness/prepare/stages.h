#pragma once

#include <vector>

#include "harness/contract/stage_context.h"

namespace assay::prepare {

// tokenize, sample_calibration and sample_images: what methods are calibrated on and language
// models are measured on, made once for all trials. Artifacts: docs/guides/evaluation.md.
std::vector<StageImplementation> stages();

// Their bodies.
Json tokenize(StageContext& context);
Json sample_calibration(StageContext& context);
Json sample_images(StageContext& context);

}  // namespace assay::prepare
