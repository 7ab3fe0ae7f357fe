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

Registry built_in_registry() {
  const quant::ModelLoader loader = [](StageContext& context) {
    return load_method_network(context);
  };
  const evaluate::NetworkLoader resident = [](StageContext& context) {
    const std::shared_ptr<const quant::MethodNetwork> loaded = resident_stage_network(context);
    return evaluate::LoadedNetwork{{loaded, loaded->network.get()}, {loaded, loaded->tap.get()}};
  };
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
  return registry;
}

}  // namespace assay::exec
