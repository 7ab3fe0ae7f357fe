#include "datasets/idx.h"

#include <fmt/format.h>

#include "datasets/compressed.h"
#include "harness/core/error.h"

namespace assay::datasets {
namespace {

constexpr std::size_t kMaxBytes = std::size_t{4} << 30;
constexpr int kMaxDimensions = 4;

std::int64_t big_endian(const std::string& bytes, std::size_t at) {
  std::int64_t value = 0;
  for (std::size_t i = 0; i < 4; ++i) {
    value = value * 256 + static_cast<unsigned char>(bytes[at + i]);
  }
  return value;
}

}  // namespace

IdxArray read_idx(const InputFile& file) {
  const auto refuse = [&](const std::string& why) {
    throw Error(ErrorKind::kData, fmt::format("{}: {}", file.path.string(), why),
                {{"file", file.path.string()}});
  };
  IdxArray array;
  array.bytes = read_inflated(file, kMaxBytes);
  const std::string& bytes = array.bytes;
  if (bytes.size() < 4 || bytes[0] != 0 || bytes[1] != 0) {
    refuse("not an IDX file: it does not begin with two zero bytes and a type");
  }
  if (bytes[2] != 0x08) {
    refuse(fmt::format("IDX type 0x{:02x} is not read; only unsigned bytes (0x08) are",
                       static_cast<unsigned char>(bytes[2])));
  }
  const int dimensions = static_cast<unsigned char>(bytes[3]);
  if (dimensions < 1 || dimensions > kMaxDimensions) {
    refuse(fmt::format("{} dimensions; legal: 1 to {}", dimensions, kMaxDimensions));
  }
  const std::size_t header = 4 + 4 * static_cast<std::size_t>(dimensions);
  if (bytes.size() < header) {
    refuse("the header is cut off");
  }
  const auto data = static_cast<std::int64_t>(bytes.size() - header);
  std::int64_t count = 1;
  for (int i = 0; i < dimensions; ++i) {
    const std::int64_t extent = big_endian(bytes, 4 + 4 * static_cast<std::size_t>(i));
    // Bounding each product by the data keeps it far from overflow (2^32 * 2^32).
    if (extent == 0 || count > data / extent) {
      refuse(
          fmt::format("dimension {} is {}: the header asks for more than the {} bytes of data, "
                      "or for none",
                      i, extent, data));
    }
    count *= extent;
    array.shape.push_back(extent);
  }
  if (count != data) {
    refuse(fmt::format("the header asks for {} bytes of data, the file has {}", count, data));
  }
  array.bytes.erase(0, header);
  return array;
}

}  // namespace assay::datasets
