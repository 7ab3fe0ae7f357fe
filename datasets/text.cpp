#include "datasets/text.h"

#include <fmt/format.h>

#include <string>

#include "harness/base/error.h"
#include "harness/base/utf8.h"

namespace assay::datasets {

void check_utf8(std::string_view text, std::string_view what) {
  const std::size_t at = find_invalid_utf8(text);
  if (at == std::string_view::npos) return;
  throw Error(ErrorKind::kData,
              fmt::format("{}: byte 0x{:02x} at offset {} is not UTF-8", what,
                          static_cast<unsigned char>(text[at]), at),
              {{"file", std::string(what)}});
}

bool is_white_space(char32_t value) {
  return (value >= 0x09 && value <= 0x0D) || value == 0x20 || value == 0x85 || value == 0xA0 ||
         value == 0x1680 || (value >= 0x2000 && value <= 0x200A) || value == 0x2028 ||
         value == 0x2029 || value == 0x202F || value == 0x205F || value == 0x3000;
}

std::string_view stripped(std::string_view text) {
  constexpr std::string_view kWhite = " \t\n\v\f\r";
  const std::size_t begin = text.find_first_not_of(kWhite);
  if (begin == std::string_view::npos) {
    return {};
  }
  return text.substr(begin, text.find_last_not_of(kWhite) - begin + 1);
}

}  // namespace assay::datasets
