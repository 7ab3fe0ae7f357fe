#pragma once

#include <cstdint>
#include <vector>

#include "harness/contract/catalogue.h"

// What the readers of texts share.

namespace assay::datasets {

inline constexpr std::int64_t kMostBytesOfCharacter = 4;          // in UTF-8
inline constexpr std::size_t kTextBlock = std::size_t{64} << 10;  // what a scan reads of a file

// Parameters `strip` and `max_characters`, which open_documents() applies to every document.
std::vector<ParameterSchema> document_parameters();

}  // namespace assay::datasets
