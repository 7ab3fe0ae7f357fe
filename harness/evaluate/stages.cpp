#include "harness/evaluate/stages.h"

namespace assay::evaluate {

std::vector<StageImplementation> evaluation_stages(const NetworkLoader& load) {
  std::vector<StageImplementation> all;
  for (auto& part : {classification_stages(load), language_stages(load), latency_stages(load)}) {
    all.insert(all.end(), part.begin(), part.end());
  }
  return all;
}

}  // namespace assay::evaluate
