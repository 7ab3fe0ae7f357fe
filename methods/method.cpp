#include "methods/method.h"

#include <fmt/format.h>

#include "harness/base/error.h"

namespace assay {

void require_prefix_fits(const PlannedStage& stage, const char* method) {
  const bool rounded = stage.before.activations.value_or(false);
  if (!rounded && stage.before.prefix == 0) return;
  throw Error(ErrorKind::kUnsupported,
              rounded
                  ? fmt::format("{0} changes the ranges of activations, and a method before it "
                                "rounds them: let that one follow (\"{0} + rtn\"); of smoothquant "
                                "the smoothing alone may come first (smoothquant: {{quantize: "
                                "none}})",
                                method)
                  : fmt::format("{} puts a prefix in front, and a method before it has done so: "
                                "a network has one prefix; leave one of them out",
                                method));
}

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
