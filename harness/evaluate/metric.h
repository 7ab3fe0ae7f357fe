#pragma once

#include <functional>
#include <memory>
#include <vector>

#include "datasets/headers.h"
#include "harness/contract/catalogue.h"
#include "harness/contract/inspection.h"
#include "harness/contract/stage_context.h"
#include "harness/models/network.h"
#include "harness/models/tap.h"

// What one way of measuring gives, as one value: the metrics that a sweep may name, the stages that
// measure them, and what is known of those before they run. Each file of harness/evaluate/metrics
// defines one; harness/evaluate/CMakeLists.txt lists them. Artifacts: docs/guides/evaluation.md.

namespace assay::evaluate {

// A network, and the tap that quantizes its activations.
struct LoadedNetwork {
  std::shared_ptr<const models::Network> network;
  std::shared_ptr<models::Tap> tap;
};
using NetworkLoader = std::function<LoadedNetwork(StageContext&)>;

// The networks that a stage may ask for.
struct NetworkLoaders {
  NetworkLoader trial;        // of its trial: the float model with what the methods made of it
  NetworkLoader float_model;  // the model as it came in the sweep, before any method
};

// A stage that has not run, and the headers of what it reads. Null: not known.
struct PlannedMeasurement {
  const StageContext& context;
  const models::NetworkInfo* network = nullptr;
  const datasets::DataHeaders* data = nullptr;
  const datasets::TokenFacts* tokens = nullptr;
  std::int64_t prefix = 0;  // the most tokens that its methods may put in front
};

struct MetricStage {
  StageDeclaration declaration;
  // Returns what protocol::Message::result holds. A stage that merges has no use for the loaders.
  std::function<Json(StageContext&, const NetworkLoaders&)> run;
  // Finds what the stage would refuse, before anything runs. Not set: nothing can be said.
  std::function<void(const PlannedMeasurement&, Findings&)> check = {};
};

struct Metric {
  std::vector<MetricDeclaration> declarations;  // several, if they differ in what they show
  std::vector<MetricStage> stages;
};

// The stages with their loaders, as a registry takes them.
std::vector<StageImplementation> implementations(const Metric& metric, const NetworkLoaders& load);

// Every metric of harness/evaluate/CMakeLists.txt, in its order.
std::vector<Metric> built_in_metrics();

}  // namespace assay::evaluate
