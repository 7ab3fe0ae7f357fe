#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

namespace assay {

using Json = nlohmann::json;

// RFC 8785 (JCS): members sorted by UTF-16 code units, no white space, numbers as ECMAScript prints
// them. Two equal values give the same bytes, so that a digest of the text identifies the value.
// Throws Error(kConfig) for NaN, infinities and integers beyond 2^53 (which a double cannot hold
// exactly).
std::string canonical_json(const Json& value);

// Parses text that came from outside. `what` names it in errors ("sweeps/x.yaml", "message of
// executor 3"). Throws Error(kData) with the byte offset on malformed text, or nesting deeper than
// `max_depth`.
Json parse_json(std::string_view text, std::string_view what, int max_depth = 100);

}  // namespace assay
