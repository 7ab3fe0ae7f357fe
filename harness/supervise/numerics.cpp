#include "harness/supervise/numerics.h"

#include <algorithm>
#include <array>
#include <cstdlib>

#include "harness/supervise/host.h"

namespace assay::supervise {
namespace {

constexpr std::array<std::string_view, 3> kLevels{"default", "avx2", "avx512"};

std::size_t rank_of(std::string_view level) {
  const auto found = std::find(kLevels.begin(), kLevels.end(), level);
  return found == kLevels.end() ? 0 : static_cast<std::size_t>(found - kLevels.begin());
}

// As LibTorch decides it.
std::string_view processor_level() {
#if defined(__x86_64__)
  const bool avx2 = __builtin_cpu_supports("avx2") != 0 && __builtin_cpu_supports("fma") != 0;
  if (avx2 && __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512bw") &&
      __builtin_cpu_supports("avx512dq"))
    return "avx512";
  if (avx2) return "avx2";
#endif
  return "default";
}

bool made_by_intel() {
#if defined(__x86_64__)
  return __builtin_cpu_is("intel") != 0;
#else
  return false;
#endif
}

std::string_view variable(const char* name) {
  const char* value = std::getenv(name);
  return value == nullptr ? std::string_view() : std::string_view(value);
}

}  // namespace

HostNumerics host_numerics() {
  HostNumerics host{host_name(), std::string(processor_level()), made_by_intel()};
  const std::string_view asked = variable("ATEN_CPU_CAPABILITY");
  const bool known = std::find(kLevels.begin(), kLevels.end(), asked) != kLevels.end();
  if (known && offers_level(host.cpu_level, asked)) host.cpu_level = asked;
  const std::string_view override = variable("ASSAY_MKL_OVERRIDE");
  if (override == "1") host.mkl_intel = true;
  if (override == "0") host.mkl_intel = false;
  return host;
}

bool offers_level(std::string_view have, std::string_view wanted) {
  return rank_of(wanted) <= rank_of(have);
}

HostNumerics lowest_numerics(const std::vector<HostNumerics>& hosts) {
  HostNumerics lowest = hosts.front();
  for (const HostNumerics& host : hosts) {
    if (!offers_level(host.cpu_level, lowest.cpu_level)) {
      lowest.host = host.host;
      lowest.cpu_level = host.cpu_level;
    }
    lowest.mkl_intel = lowest.mkl_intel && host.mkl_intel;
  }
  return lowest;
}

std::map<std::string, std::string> numerics_environment(const std::string& cpu_level,
                                                        bool mkl_intel) {
  std::map<std::string, std::string> variables;
  variables["ATEN_CPU_CAPABILITY"] = cpu_level;
  variables["ASSAY_MKL_OVERRIDE"] = mkl_intel ? "1" : "0";
  // AVX512_CORE: none of the extensions that came later, which not every host of the level has.
  variables["ONEDNN_MAX_CPU_ISA"] = cpu_level == "avx512" ? "AVX512_CORE"
                                    : cpu_level == "avx2" ? "AVX2"
                                                          : "SSE41";
  variables["MKL_ENABLE_INSTRUCTIONS"] = cpu_level == "avx512" ? "AVX512"
                                         : cpu_level == "avx2" ? "AVX2"
                                                               : "SSE4_2";
  return variables;
}

bool is_numerics_variable(std::string_view name) {
  constexpr std::array<std::string_view, 8> kNames{
      "ATEN_CPU_CAPABILITY", "MKL_CBWR",     "MKL_DEBUG_CPU_TYPE", "MKL_ENABLE_INSTRUCTIONS",
      "MKL_DYNAMIC",         "MKL_VML_MODE", "ASSAY_MKL_OVERRIDE", "NVIDIA_TF32_OVERRIDE"};
  if (std::find(kNames.begin(), kNames.end(), name) != kNames.end()) return true;
  return name.starts_with("ONEDNN_") || name.starts_with("DNNL_") ||
         name.starts_with("TORCH_ALLOW_TF32");
}

}  // namespace assay::supervise
