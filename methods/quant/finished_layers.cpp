#include "methods/quant/finished_layers.h"

#include <ATen/ATen.h>

#include <system_error>
#include <utility>

namespace assay::quant {

FinishedLayers::FinishedLayers(std::filesystem::path scratch, std::int64_t most_bytes)
    : scratch_(std::move(scratch)), most_bytes_(most_bytes) {}

FinishedLayers::~FinishedLayers() {
  std::error_code failure;
  if (files_ > 0) std::filesystem::remove_all(scratch_, failure);
}

QuantizedLayer FinishedLayers::put(const std::string& name, QuantizedLayer layer) {
  const auto bytes = static_cast<std::int64_t>(layer.code.nbytes());
  if (scratch_.empty() || bytes_ + bytes <= most_bytes_) {
    bytes_ += bytes;
    return layer;
  }
  const std::filesystem::path folder = scratch_ / std::to_string(files_++);
  std::filesystem::create_directories(folder);
  save_quantized(folder, {.layers = {{name, std::move(layer)}}});
  return load_quantized(folder).layers.at(name);
}

}  // namespace assay::quant
