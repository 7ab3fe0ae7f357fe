#pragma once

#include <functional>
#include <memory>
#include <vector>

#include "harness/core/catalogue.h"
#include "harness/core/stage_context.h"
#include "harness/models/network.h"
#include "harness/models/tap.h"

namespace assay::evaluate {

// The network of a stage's trial: the base model with what its methods changed, and the tap that
// quantizes its activations.
struct LoadedNetwork {
  std::shared_ptr<const models::Network> network;
  std::shared_ptr<models::Tap> tap;
};
using NetworkLoader = std::function<LoadedNetwork(StageContext&)>;

// The stages that measure: evaluate.* with merge.*, measure.latency. Artifacts:
// docs/guides/evaluation.md.
std::vector<StageImplementation> evaluation_stages(const NetworkLoader& load);

// top1, top5, perplexity, latency.
std::vector<MetricDeclaration> metrics();

// The parts of evaluation_stages().
std::vector<StageImplementation> classification_stages(const NetworkLoader& load);
std::vector<StageImplementation> language_stages(const NetworkLoader& load);
std::vector<StageImplementation> latency_stages(const NetworkLoader& load);

}  // namespace assay::evaluate
