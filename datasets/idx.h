#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "harness/core/input_file.h"

namespace assay::datasets {

// The IDX container of MNIST: two zero bytes, type 0x08 (unsigned byte, the only one read), number
// of dimensions, each as a big-endian u32, then the data in row-major order.
struct IdxArray {
  std::vector<std::int64_t> shape;
  std::string bytes;  // uint8 values, product of the shape
};

// Reads a plain or gzip file. Throws Error(kData) naming the file if the header is malformed or
// does not match the bytes that follow; nothing is allocated by what a header claims.
IdxArray read_idx(const InputFile& file);

}  // namespace assay::datasets
