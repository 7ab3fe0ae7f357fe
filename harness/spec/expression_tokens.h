#pragma once

#include <string>
#include <vector>

#include "harness/spec/place.h"

namespace assay::spec {

// A word of an expression (harness/spec/expression.h).
struct Token {
  enum class Kind { kEnd, kName, kText, kNumber, kSymbol };

  Kind kind = Kind::kEnd;
  std::string text;
  std::size_t offset = 0;
};

// The words of `text`, the last of kind kEnd. `place` is that of the first character. Throws
// Error(kConfig) for a character that begins no word, and for an open quote.
std::vector<Token> tokens_of(const std::string& text, const Place& place);

// Throws Error(kConfig) with the place of the character at `offset` of `text`.
[[noreturn]] void refuse_at(const Place& place, const std::string& text, std::size_t offset,
                            const std::string& problem);

}  // namespace assay::spec
