// What assay-exec offers: what the CMakeLists.txt of readers, families, metrics and methods list.

#include "datasets/reader.h"
#include "harness/evaluate/metric.h"
#include "harness/exec/inspector.h"
#include "harness/exec/network_loader.h"
#include "harness/exec/registry.h"
#include "harness/models/network.h"
#include "harness/prepare/stages.h"
#include "methods/method.h"

namespace assay::exec {
namespace {

// Of a network that executors keep.
evaluate::LoadedNetwork shared(const std::shared_ptr<const quant::MethodNetwork>& kept) {
  return {{kept, kept->network.get()}, {kept, kept->tap.get()}};
}

}  // namespace

Registry built_in_registry() {
  const quant::ModelLoader loader = [](StageContext& context) {
    return load_method_network(context);
  };
  const evaluate::NetworkLoaders resident = {
      .trial = [](StageContext& context) { return shared(resident_stage_network(context)); },
      .float_model = [](StageContext& context) { return shared(resident_float_model(context)); }};
  Registry registry;
  registry.add_all(datasets::readers());
  registry.add_all(models::families());
  registry.add_all(prepare::stages());
  for (const evaluate::Metric& metric : evaluate::built_in_metrics()) {
    registry.add_all(metric.declarations);
    registry.add_all(evaluate::implementations(metric, resident));
  }
  for (const Method& method : built_in_methods()) {
    registry.add(declaration_of(method));
    registry.add_all(implementations(method, loader));
  }
  registry.add_inspection(&inspect);
  limit_kept_weights();
  return registry;
}

}  // namespace assay::exec
