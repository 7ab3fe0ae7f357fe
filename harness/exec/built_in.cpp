// The explicit list of what assay-exec offers: to add a method, add its two lines here.

#include "datasets/readers.h"
#include "harness/evaluate/stages.h"
#include "harness/exec/inspector.h"
#include "harness/exec/network_loader.h"
#include "harness/exec/registry.h"
#include "harness/models/network.h"
#include "methods/float/method.h"
#include "methods/gptq/method.h"
#include "methods/psaq_vit/method.h"
#include "methods/rtn/method.h"
#include "methods/train/train.h"

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
  registry.add_all(evaluate::metrics());
  registry.add_all(evaluate::evaluation_stages(resident));
  registry.add(float_method::declaration());
  registry.add(train::declaration());
  registry.add_all(train::stages(loader));
  registry.add(rtn::declaration());
  registry.add_all(rtn::stages(loader));
  registry.add(gptq::declaration());
  registry.add_all(gptq::stages(loader));
  registry.add(psaq_vit::declaration());
  registry.add_all(psaq_vit::stages(loader));
  registry.add_inspection(&inspect);
  return registry;
}

}  // namespace assay::exec
