#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace assay::supervise {

// What of a host moves the low bits of a result: the instructions that kernels use, and the kernels
// that MKL picks by the maker of the processor.
struct HostNumerics {
  std::string host;
  std::string cpu_level;   // the highest it can do: "default", "avx2" or "avx512"
  bool mkl_intel = false;  // MKL takes it for an Intel processor

  bool operator==(const HostNumerics&) const = default;
};

// This host's. ATEN_CPU_CAPABILITY=default|avx2|avx512 lowers its level, as it does LibTorch's;
// ASSAY_MKL_OVERRIDE=1 or 0 decides about MKL, else the processor's maker does.
HostNumerics host_numerics();

// Whether a processor of level `have` can be held to `wanted`.
bool offers_level(std::string_view have, std::string_view wanted);

// The class that all hosts can be held to: the lowest level, MKL's kernels for Intel only where all
// take them. At least one host.
HostNumerics lowest_numerics(const std::vector<HostNumerics>& hosts);

// Variables that hold the libraries of an executor to a class: LibTorch's kernels (ours follow
// them), oneDNN's and MKL's.
std::map<std::string, std::string> numerics_environment(const std::string& cpu_level,
                                                        bool mkl_intel);

// Whether a variable of the user's environment would move bits behind the class's back (MKL_CBWR,
// ONEDNN_DEFAULT_FPMATH_MODE, ...). Executors do not inherit those.
bool is_numerics_variable(std::string_view name);

}  // namespace assay::supervise
