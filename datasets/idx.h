#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "harness/formats/input_file.h"

namespace assay::datasets {

// The IDX container of MNIST: two zero bytes, type 0x08 (unsigned byte, the only one read), number
// of dimensions, each as a big-endian u32, then the data in row-major order.
struct IdxArray {
  std::vector<std::int64_t> shape;
  std::string bytes;  // uint8 values, product of the shape
};

// The shape that the first bytes of a file of `size_bytes` bytes (inflated) give. Throws Error(kData)
// naming `what` if the header is malformed or does not match the size.
std::vector<std::int64_t> idx_shape(std::string_view head, std::int64_t size_bytes,
                                    const std::string& what);

// Reads a plain or gzip file. Throws Error(kData) naming the file if the header is malformed or
// does not match the bytes that follow; nothing is allocated by what a header claims.
IdxArray read_idx(const InputFile& file);

}  // namespace assay::datasets
