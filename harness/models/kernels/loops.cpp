#include "harness/models/kernels/loops.h"

#include <ATen/Version.h>

#include <string>

#include "harness/models/kernels/levels.h"

namespace assay::models::kernels {
namespace {

#ifdef ASSAY_SIMD_X86
#define ASSAY_LOOPS(level) \
  Loops { level::attention_head, level::layer_norm, level::rms_norm, level::swiglu, level::rotate }

const Loops kAvx2 = ASSAY_LOOPS(avx2);
const Loops kAvx512 = ASSAY_LOOPS(avx512);

#undef ASSAY_LOOPS
#endif

const Loops* chosen() {
#ifdef ASSAY_SIMD_X86
  const std::string level = at::get_cpu_capability();
  if (level == "AVX512") return &kAvx512;
  if (level == "AVX2") return &kAvx2;
#endif
  return nullptr;
}

}  // namespace

const Loops* loops() {
  static const Loops* const table = chosen();
  return table;
}

}  // namespace assay::models::kernels
