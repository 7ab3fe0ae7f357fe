#pragma once

#include <string>

#include "harness/base/json.h"

namespace assay {

// What an exception of the JSON library says, for people: "(line 2, column 5): syntax error ..."
// without the library's own prefix. Always UTF-8, whatever the library quotes.
std::string reason_of(const Json::exception& e);

}  // namespace assay
