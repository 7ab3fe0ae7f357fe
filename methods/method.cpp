#include "methods/method.h"

namespace assay {

std::vector<StageImplementation> implementations(const Method& method,
                                                 const quant::ModelLoader& loader) {
  std::vector<StageImplementation> all;
  for (const MethodStage& stage : method.stages) {
    all.push_back({stage.declaration, [run = stage.run, loader](StageContext& context) {
                     return run(context, loader);
                   }});
  }
  return all;
}

}  // namespace assay
