#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace assay::datasets {

// One code point and how many bytes it takes; length 0 if the bytes are not UTF-8 (overlong forms,
// surrogates and values beyond U+10FFFF included).
struct CodePoint {
  char32_t value = 0;
  std::size_t length = 0;
};
CodePoint code_point_at(std::string_view text, std::size_t at);

// Throws Error(kData) naming `what` and the offset of the first byte that is not UTF-8.
void check_utf8(std::string_view text, std::string_view what);

void append_utf8(std::string& text, char32_t value);

// The first `count` code points of a valid text.
std::string_view first_characters(std::string_view text, std::int64_t count);

// Unicode's property White_Space.
bool is_white_space(char32_t value);

// Without white space (space, \t, \n, \v, \f, \r) at both ends.
std::string_view stripped(std::string_view text);

}  // namespace assay::datasets
