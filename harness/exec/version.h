#pragma once

#include <string>

namespace assay::exec {

inline constexpr const char* kVersion = "0.1.0";

std::string libtorch_version();        // "2.15.0"
std::string libtorch_minor_version();  // "2.15": patch releases keep the bits of kernels

}  // namespace assay::exec
