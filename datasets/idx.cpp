#include "datasets/idx.h"

#include <fmt/format.h>

#include "datasets/compressed.h"
#include "harness/base/error.h"

namespace assay::datasets {
namespace {

constexpr std::size_t kMaxBytes = std::size_t{4} << 30;
constexpr int kMaxDimensions = 4;

std::int64_t big_endian(std::string_view bytes, std::size_t at) {
  std::int64_t value = 0;
  for (std::size_t i = 0; i < 4; ++i) {
    value = value * 256 + static_cast<unsigned char>(bytes[at + i]);
  }
  return value;
}

}  // namespace

std::vector<std::int64_t> idx_shape(std::string_view head, std::int64_t size_bytes,
                                    const std::string& what) {
  const auto refuse = [&](const std::string& why) {
    throw Error(ErrorKind::kData, fmt::format("{}: {}", what, why), {{"file", what}});
  };
  if (head.size() < 4 || head[0] != 0 || head[1] != 0) {
    refuse("not an IDX file: it does not begin with two zero bytes and a type");
  }
  if (head[2] != 0x08) {
    refuse(fmt::format("IDX type 0x{:02x} is not read; only unsigned bytes (0x08) are",
                       static_cast<unsigned char>(head[2])));
  }
  const int dimensions = static_cast<unsigned char>(head[3]);
  if (dimensions < 1 || dimensions > kMaxDimensions) {
    refuse(fmt::format("{} dimensions; legal: 1 to {}", dimensions, kMaxDimensions));
  }
  const std::size_t header = 4 + 4 * static_cast<std::size_t>(dimensions);
  if (head.size() < header) {
    refuse("the header is cut off");
  }
  const std::int64_t data = size_bytes - static_cast<std::int64_t>(header);
  std::int64_t count = 1;
  std::vector<std::int64_t> shape;
  for (int i = 0; i < dimensions; ++i) {
    const std::int64_t extent = big_endian(head, 4 + 4 * static_cast<std::size_t>(i));
    // Bounding each product by the data keeps it far from overflow (2^32 * 2^32).
    if (extent == 0 || count > data / extent) {
      refuse(
          fmt::format("dimension {} is {}: the header asks for more than the {} bytes of data, "
                      "or for none",
                      i, extent, data));
    }
    count *= extent;
    shape.push_back(extent);
  }
  if (count != data) {
    refuse(fmt::format("the header asks for {} bytes of data, the file has {}", count, data));
  }
  return shape;
}

IdxArray read_idx(const InputFile& file) {
  IdxArray array;
  array.bytes = read_inflated(file, kMaxBytes);
  array.shape = idx_shape(array.bytes, static_cast<std::int64_t>(array.bytes.size()),
                          file.path.string());
  array.bytes.erase(0, 4 + 4 * array.shape.size());
  return array;
}

}  // namespace assay::datasets
