#include "harness/exec/registry.h"

#include <fmt/format.h>

#include "harness/base/error.h"
#include "harness/base/suggest.h"
#include "harness/exec/version.h"

namespace assay::exec {
namespace {

template <typename Declaration>
void append(std::vector<Declaration>& declarations, const Declaration& added, const char* what) {
  for (const Declaration& each : declarations) {
    if (each.name == added.name)
      throw Error(ErrorKind::kConfig, fmt::format("{} '{}' is registered twice", what, added.name),
                  {{what, added.name}});
  }
  declarations.push_back(added);
}

}  // namespace

Catalogue Registry::empty_catalogue() {
  Catalogue catalogue;
  catalogue.provider = "assay";
  catalogue.version = kVersion;
  catalogue.numerics = {{"libtorch", libtorch_minor_version()}};
  return catalogue;
}

void Registry::add(const StageImplementation& stage) {
  append(catalogue_.stages, stage.declaration, "stage");
  bodies_[stage.declaration.name] = stage.body;
}
void Registry::add(const MethodDeclaration& method) {
  append(catalogue_.methods, method, "method");
}
void Registry::add(const MetricDeclaration& metric) {
  append(catalogue_.metrics, metric, "metric");
}
void Registry::add(const FamilyDeclaration& family) {
  append(catalogue_.families, family, "family");
}
void Registry::add(const ReaderDeclaration& reader) {
  append(catalogue_.readers, reader, "reader");
}

void Registry::add_inspection(Inspect inspect) {
  inspect_ = std::move(inspect);
  catalogue_.inspects = true;
}

const StageBody& Registry::body(const std::string& stage) const {
  const auto found = bodies_.find(stage);
  if (found != bodies_.end()) return found->second;
  std::vector<std::string> legal;
  for (const auto& entry : bodies_) legal.push_back(entry.first);
  throw Error(ErrorKind::kConfig,
              fmt::format("unknown stage '{}'{}", stage, suggestion(stage, legal)),
              {{"stage", stage}});
}

}  // namespace assay::exec
