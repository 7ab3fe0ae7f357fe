#pragma once

#include <string>
#include <string_view>

// UTF-8, the encoding of every text that Assay writes.
namespace assay {

// Offset of the first byte that belongs to no character (also overlong forms, surrogates and
// sequences that are cut short); npos if there is none.
std::size_t find_invalid_utf8(std::string_view text);
bool is_utf8(std::string_view text);

// The text with U+FFFD for every sequence that is not UTF-8: what a program printed, or a message
// cut at a length, may enter a JSON document only so.
std::string utf8_text(std::string_view text);

// One code point and how many bytes it takes; length 0 if no character begins there.
struct CodePoint {
  char32_t value = 0;
  std::size_t length = 0;
};
// `at` is below the text's size.
CodePoint code_point_at(std::string_view text, std::size_t at);

// `value` is a code point and no surrogate.
void append_utf8(std::string& text, char32_t value);

// The first `bytes` bytes, or a few less, so that no character is split.
std::string_view utf8_prefix(std::string_view text, std::size_t bytes);

// Characters (code points). A terminal or a table takes each as one column; wide ones too.
std::size_t utf8_length(std::string_view text);
// The first `count` of them.
std::string_view utf8_first(std::string_view text, std::size_t count);

}  // namespace assay
