#pragma once

#include <cstdint>
#include <functional>

namespace assay::evaluate {

// Told after each chunk: samples done, samples in all. May throw to stop.
using Progress = std::function<void(std::int64_t done, std::int64_t total)>;

}  // namespace assay::evaluate
