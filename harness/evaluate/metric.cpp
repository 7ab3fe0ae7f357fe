#include "harness/evaluate/metric.h"

namespace assay::evaluate {

std::vector<StageImplementation> implementations(const Metric& metric, const NetworkLoaders& load) {
  std::vector<StageImplementation> all;
  for (const MetricStage& stage : metric.stages) {
    all.push_back({stage.declaration,
                   [run = stage.run, load](StageContext& context) { return run(context, load); }});
  }
  return all;
}

}  // namespace assay::evaluate
