#pragma once

#include "harness/contract/stage_recipe.h"
#include "methods/method.h"

// The stages of the method; each goes on from its checkpoint after a kill.

namespace assay::cushioncache {

// cushioncache.search: the tokens of a prefix.
Json search_prefix(StageContext& context, const quant::ModelLoader& loader);
void check_search(const PlannedStage& stage);

// cushioncache.prefix: the keys and values of those tokens, tuned if asked for.
Json tune_prefix(StageContext& context, const quant::ModelLoader& loader);
void check_tuning(const PlannedStage& stage);

}  // namespace assay::cushioncache
