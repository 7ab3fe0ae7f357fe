#include "harness/exec/environment.h"

#include <ATen/ATen.h>
#include <ATen/Context.h>
#include <ATen/Parallel.h>
#include <ATen/Version.h>
#include <fmt/format.h>

#include <algorithm>
#include <fstream>
#include <string>

#include "harness/base/error.h"
#include "harness/contract/stage_recipe.h"
#include "harness/exec/mkl_override.h"
#include "harness/exec/version.h"

namespace assay::exec {
namespace {

// LibTorch's level in lower case: "default", "avx2", "avx512", or of another architecture.
std::string cpu_level() {
  std::string level = at::get_cpu_capability();
  std::transform(level.begin(), level.end(), level.begin(), [](char c) {
    return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
  });
  return level;
}

// The class that the recipe names, if it does, is that of this process: it was settled when the
// process started, so a mismatch is a fault of how it was started.
void check_class(const Numerics& numerics) {
  const auto require = [](const char* name, const std::string& wanted, const std::string& own) {
    if (wanted.empty() || wanted == own) return;
    throw Error(ErrorKind::kEnvironment,
                fmt::format("the recipe asks for {} '{}', but this executor computes with '{}'; "
                            "`assay run` starts executors of the class that it planned for",
                            name, wanted, own),
                {{name, wanted}});
  };
  require("cpu_level", numerics.cpu_level, cpu_level());
  require("mkl", numerics.mkl, mkl_takes_intel() ? "intel" : "other");
}

// Highest resident set since the last reset by the supervisor, in bytes; 0 if unknown.
std::int64_t peak_resident_bytes() {
  std::ifstream status("/proc/self/status");
  for (std::string line; std::getline(status, line);) {
    if (line.rfind("VmHWM:", 0) == 0) return std::stoll(line.substr(6)) * 1024;
  }
  return 0;
}

std::string cpu_name() {
  std::ifstream info("/proc/cpuinfo");
  for (std::string line; std::getline(info, line);) {
    const std::size_t colon = line.find(": ");
    if (line.rfind("model name", 0) == 0 && colon != std::string::npos)
      return line.substr(colon + 2);
  }
  return "unknown";
}

}  // namespace

void start_numerics() {
  at::globalContext().setDeterministicAlgorithms(true, false);
  at::globalContext().setDeterministicFillUninitializedMemory(false);
  at::globalContext().setFloat32MatmulPrecision("highest");
  at::set_num_threads(1);
}

void apply_numerics(const Numerics& numerics) {
  if (numerics.device != "cpu")
    throw Error(
        ErrorKind::kUnsupported,
        fmt::format("device '{}' is not supported by this executor; legal: cpu", numerics.device),
        {{"device", numerics.device}});
  check_class(numerics);
  // oneDNN offers half precision only where it finds instructions for it, whatever level it is held
  // to, and its results depend on them.
  at::globalContext().setUserEnabledMkldnn(!is_half(numerics.precision));
  const int threads = static_cast<int>(numerics.threads);
  if (at::get_num_threads() != threads) at::set_num_threads(threads);
}

Json environment_facts() {
  return {{"libtorch", libtorch_version()},
          {"cpu", cpu_name()},
          {"cpu_capability", at::get_cpu_capability()},
          {"threads", at::get_num_threads()},
          {"mkl", mkl_takes_intel() ? "intel" : "other"},
          {"peak_rss_bytes", peak_resident_bytes()}};
}

}  // namespace assay::exec
