#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace assay {

// The legal name nearest to `name` (Levenshtein distance at most a third of its length, at least
// 1), or "".
std::string nearest(std::string_view name, const std::vector<std::string>& legal);

// "; did you mean 'aespa'?" or "; legal: a, b, c" - the tail of an error about an unknown name.
std::string suggestion(std::string_view name, const std::vector<std::string>& legal);

}  // namespace assay
