#pragma once

#include "harness/contract/catalogue.h"

namespace assay::testing {

// A catalogue small enough to think about, with every feature that a planner meets:
//
//   families  vit, resnet (classification; resnet has a configuration), opt (language)
//   readers   fashion_mnist (usual places), idx (roles), text (lists), image_folder (folders),
//             austen (a parameter for each split)
//   methods   float      the model as it is
//             rtn        deterministic, reads bits, one stage
//             gptq       opt; calibration tokens (tokenize -> sample, random by calibration_seed)
//             smoothquant opt; reads no bits, hands its network on
//             psaq_vit   vit; synthesize (random by seed, no bits) -> quantize
//             genie      resnet; switches swing, learned_scale, qdrop
//             train      vit, resnet; random by seed, an extra stage
//   metrics   top1 (shards and merge), perplexity (context, limit), latency (any task; a list),
//             dream (random)
Catalogue test_catalogue();

}  // namespace assay::testing
