#pragma once

#include <cstdint>
#include <string>

#include "harness/formats/input_file.h"

namespace assay::datasets {

// The beginning of a file, inflated if it is gzip.
struct FileHead {
  std::string bytes;                // at most what was asked for
  bool compressed = false;          // gzip
  std::int64_t stored_bytes = 0;    // of the file
  std::int64_t inflated_bytes = 0;  // of its content; of a gzip file that is longer than the head
                                    // what its last four bytes say, which is wrong for several
                                    // streams and above 4 GB
};

// Reads no more of the file than it takes for `count` bytes of content. Throws Error(kIo) if it
// cannot be read, Error(kData) naming it if it is no regular file or its gzip stream is damaged.
FileHead read_head(const InputFile& file, std::size_t count);

}  // namespace assay::datasets
