#pragma once

#include <optional>
#include <string>

#include "harness/base/json.h"

// What the table `stage` holds of a stage that is done: the text of its result.json.

namespace assay::results {

// Nothing if it is not what was published: malformed, or with another digest than it names. (Old
// results name none.)
std::optional<Json> published_result(const std::string& text);

// The digest that a result names; "": none.
std::string digest_of(const Json& result);

// A figure of a result; nothing if it is missing, no number, or not finite.
std::optional<double> figure(const Json& result, const std::string& name);

}  // namespace assay::results
