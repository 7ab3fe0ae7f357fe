#pragma once

#include <cstdint>
#include <filesystem>
#include <string>

#include "methods/quant/quantized_model.h"

namespace assay::quant {

// Where the layers of a quantized model wait for the last of them: in memory, or, once their codes
// take more than `most_bytes` there, in files of a scratch folder, which are mapped. The folder is
// removed at the end; what was mapped stays readable.
class FinishedLayers {
 public:
  // `scratch`: made when it is needed; "": all wait in memory.
  explicit FinishedLayers(std::filesystem::path scratch = {}, std::int64_t most_bytes = 32'000'000);
  ~FinishedLayers();
  FinishedLayers(const FinishedLayers&) = delete;
  FinishedLayers& operator=(const FinishedLayers&) = delete;

  // The same layer, in memory or on a mapping.
  QuantizedLayer put(const std::string& name, QuantizedLayer layer);

 private:
  std::filesystem::path scratch_;
  std::int64_t most_bytes_;
  std::int64_t bytes_ = 0;
  int files_ = 0;
};

// Of a stage: a folder in its output that is gone when the stage ends.
inline constexpr const char* kScratchFolder = "layers.partial";

}  // namespace assay::quant
