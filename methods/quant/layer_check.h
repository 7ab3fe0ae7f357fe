#pragma once

#include <filesystem>
#include <string>

#include "methods/quant/coded_scales.h"
#include "methods/quant/quantized_model.h"

// Whether what a file says of a layer can be decoded.

namespace assay::quant {

// Shapes, dtypes, codes that fit their bits, scales above 0, levels in order. Throws Error(kData)
// naming `file` and the layer.
void check_layer(const std::string& name, const QuantizedLayer& layer,
                 const std::filesystem::path& file);

// The same of scales before they are decoded. That they are above 0 is seen by check_layer.
void check_scales(const std::string& name, const CodedScales& scales,
                  const std::filesystem::path& file);

}  // namespace assay::quant
