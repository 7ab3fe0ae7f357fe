#pragma once

#include <string>
#include <string_view>

#include "harness/formats/input_file.h"

// zlib and gzip streams of a known greatest size, so that a small hostile file cannot fill memory.

namespace assay::datasets {

// Content of a file, inflated if it begins with the gzip mark. Throws Error(kIo) if it cannot be
// read, Error(kData) naming the file if it changed since the plan, or the stream is damaged, cut
// off, or inflates past `max_bytes`.
std::string read_inflated(const InputFile& file, std::size_t max_bytes);

// One zlib stream at the start of `bytes`, which must inflate to exactly `size` bytes; `what` names
// it in errors; `used` receives the length of the stream. Throws Error(kData).
std::string inflate_zlib(std::string_view bytes, std::size_t size, std::string_view what,
                         std::size_t* used = nullptr);

}  // namespace assay::datasets
