#pragma once

#include <fmt/format.h>

#include <string>

#include "harness/base/error.h"

namespace assay::quant {

// Calls `work`; an Error that does not name the layer yet is thrown again with its name.
template <typename Work>
auto in_layer(const std::string& layer, const Work& work) -> decltype(work()) {
  try {
    return work();
  } catch (const Error& error) {
    const std::string text = error.what();
    if (text.find("'" + layer + "'") != std::string::npos) throw;
    throw Error(error.kind(), fmt::format("layer '{}': {}", layer, text), {{"layer", layer}});
  }
}

}  // namespace assay::quant
