#include "harness/exec/mkl_override.h"

#include <cstdlib>
#include <string_view>

namespace assay::exec {

bool mkl_override_enabled() {
  static const bool enabled = [] {
    const char* value = std::getenv("ASSAY_MKL_OVERRIDE");
    return value != nullptr && std::string_view(value) == "1";
  }();
  return enabled;
}

}  // namespace assay::exec

// The function that MKL asks; the program exports it, so that the library finds this one first.
extern "C" __attribute__((visibility("default"))) int mkl_serv_intel_cpu_true() {
  return __builtin_cpu_is("intel") != 0 || assay::exec::mkl_override_enabled() ? 1 : 0;
}
