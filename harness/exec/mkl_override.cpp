#include "harness/exec/mkl_override.h"

#include <cstdlib>
#include <string_view>

namespace assay::exec {

bool mkl_takes_intel() {
  static const bool taken = [] {
    const char* value = std::getenv("ASSAY_MKL_OVERRIDE");
    const std::string_view said = value == nullptr ? "" : value;
    if (said == "1" || said == "0") return said == "1";
#if defined(__x86_64__)
    return __builtin_cpu_is("intel") != 0;
#else
    return false;
#endif
  }();
  return taken;
}

}  // namespace assay::exec

// The function that MKL asks; the program exports it, so that the library finds this one first.
extern "C" __attribute__((visibility("default"))) int mkl_serv_intel_cpu_true() {
  return assay::exec::mkl_takes_intel() ? 1 : 0;
}
