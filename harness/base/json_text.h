#pragma once

#include <string>
#include <string_view>

#include "harness/base/json.h"

namespace assay {

// The text with every byte that is no UTF-8 replaced by U+FFFD: what a program printed, or a
// message cut at a length, may enter a JSON document only so.
std::string utf8_text(std::string_view text);

// What an exception of the JSON library says, for people: "(line 2, column 5): syntax error ..."
// without the library's own prefix. Always UTF-8, whatever the library quotes.
std::string reason_of(const Json::exception& e);

}  // namespace assay
