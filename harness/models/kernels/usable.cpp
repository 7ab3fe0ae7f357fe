#include "harness/models/kernels/usable.h"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <c10/core/GradMode.h>

#include "harness/models/kernels/loops.h"

namespace assay::models::kernels {

bool usable(const at::Tensor& x) {
  return x.scalar_type() == at::kFloat && x.is_cpu() && x.layout() == at::kStrided &&
         !c10::GradMode::is_enabled() && at::get_num_threads() == 1 && loops() != nullptr;
}

}  // namespace assay::models::kernels
