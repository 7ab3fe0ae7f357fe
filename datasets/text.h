#pragma once

#include <string_view>

namespace assay::datasets {

// Throws Error(kData) naming `what` and the offset of the first byte that is not UTF-8.
void check_utf8(std::string_view text, std::string_view what);

// Unicode's property White_Space.
bool is_white_space(char32_t value);

// Without white space (space, \t, \n, \v, \f, \r) at both ends.
std::string_view stripped(std::string_view text);

}  // namespace assay::datasets
