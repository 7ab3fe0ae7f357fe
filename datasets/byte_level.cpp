#include "datasets/byte_level.h"

#include <array>

#include "harness/base/utf8.h"

namespace assay::datasets {
namespace {

constexpr char32_t kFirstStandIn = 0x100;
constexpr char32_t kStandIns = 68;

struct Tables {
  std::array<char32_t, 256> of_byte{};
  std::array<unsigned char, kFirstStandIn + kStandIns> byte_of{};
  std::array<bool, kFirstStandIn + kStandIns> known{};
};

constexpr Tables make_tables() {
  Tables tables;
  char32_t next = kFirstStandIn;
  for (unsigned byte = 0; byte < 256; ++byte) {
    const bool itself = (byte >= 33 && byte <= 126) || (byte >= 161 && byte <= 172) || byte >= 174;
    const char32_t point = itself ? static_cast<char32_t>(byte) : next++;
    tables.of_byte[byte] = point;
    tables.byte_of[point] = static_cast<unsigned char>(byte);
    tables.known[point] = true;
  }
  return tables;
}

constexpr Tables kTables = make_tables();

}  // namespace

std::optional<std::string> bytes_of_stand_ins(std::string_view piece) {
  std::string bytes;
  for (std::size_t at = 0; at < piece.size();) {
    const CodePoint point = code_point_at(piece, at);
    if (point.length == 0 || point.value >= kTables.known.size() || !kTables.known[point.value]) {
      return std::nullopt;
    }
    bytes.push_back(static_cast<char>(kTables.byte_of[point.value]));
    at += point.length;
  }
  return bytes;
}

std::string stand_ins_of_bytes(std::string_view bytes) {
  std::string piece;
  for (const char byte : bytes) {
    append_utf8(piece, kTables.of_byte[static_cast<unsigned char>(byte)]);
  }
  return piece;
}

}  // namespace assay::datasets
