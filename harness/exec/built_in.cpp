// The explicit list of what assay-exec offers: to add a method, add its lines here.

#include "datasets/readers.h"
#include "harness/exec/registry.h"
#include "harness/models/network.h"
#include "methods/train/train.h"

namespace assay::exec {

Registry built_in_registry() {
  Registry registry;
  registry.add_all(datasets::readers());
  registry.add_all(models::families());
  registry.add(train::method());
  registry.add_all(train::stages());
  return registry;
}

}  // namespace assay::exec
