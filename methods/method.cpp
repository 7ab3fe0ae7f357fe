#include "methods/method.h"

namespace assay {

MethodDeclaration declaration_of(const Method& method) {
  MethodDeclaration declaration = method.declaration;
  if (method.canary) declaration.canary = declaration.name + ".canary";
  return declaration;
}

std::vector<StageImplementation> implementations(const Method& method,
                                                 const quant::ModelLoader& loader) {
  std::vector<StageImplementation> all;
  int revisions = 0;
  for (const MethodStage& stage : method.stages) {
    revisions += stage.declaration.revision;
    all.push_back({stage.declaration, [run = stage.run, loader](StageContext& context) {
                     return run(context, loader);
                   }});
  }
  if (method.canary) {
    all.push_back({{.name = declaration_of(method).canary, .revision = revisions},
                   [canary = method.canary](StageContext&) {
                     canary();
                     return Json{{"metrics", {{"holds", 1}}}};
                   }});
  }
  return all;
}

}  // namespace assay
