#include "harness/exec/version.h"

#include <fmt/format.h>
#include <torch/headeronly/version.h>

namespace assay::exec {

std::string libtorch_version() {
  return fmt::format("{}.{}", libtorch_minor_version(), TORCH_VERSION_PATCH);
}

std::string libtorch_minor_version() {
  return fmt::format("{}.{}", TORCH_VERSION_MAJOR, TORCH_VERSION_MINOR);
}

}  // namespace assay::exec
