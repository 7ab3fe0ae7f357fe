#include "harness/base/utf8.h"

#include <utf8cpp/utf8.h>

#include <algorithm>
#include <iterator>

namespace assay {
namespace {

bool continues_character(char byte) { return (static_cast<unsigned char>(byte) & 0xC0) == 0x80; }

}  // namespace

std::size_t find_invalid_utf8(std::string_view text) {
  const auto found = utf8::find_invalid(text.begin(), text.end());
  return found == text.end() ? std::string_view::npos
                             : static_cast<std::size_t>(found - text.begin());
}

bool is_utf8(std::string_view text) { return find_invalid_utf8(text) == std::string_view::npos; }

std::string utf8_text(std::string_view text) {
  std::string out;
  utf8::replace_invalid(text.begin(), text.end(), std::back_inserter(out));
  return out;
}

CodePoint code_point_at(std::string_view text, std::size_t at) {
  const auto first = text.begin() + static_cast<std::ptrdiff_t>(at);
  const auto lead = static_cast<unsigned char>(*first);
  if (lead < 0x80) return {lead, 1};
  auto next = first;
  try {
    const char32_t value = utf8::next(next, text.end());
    return {value, static_cast<std::size_t>(next - first)};
  } catch (const utf8::exception&) {
    return {};
  }
}

void append_utf8(std::string& text, char32_t value) {
  utf8::append(value, std::back_inserter(text));
}

std::string_view utf8_prefix(std::string_view text, std::size_t bytes) {
  if (text.size() <= bytes) return text;
  while (bytes > 0 && continues_character(text[bytes])) --bytes;
  return text.substr(0, bytes);
}

std::size_t utf8_length(std::string_view text) {
  return static_cast<std::size_t>(std::count_if(
      text.begin(), text.end(), [](char byte) { return !continues_character(byte); }));
}

std::string_view utf8_first(std::string_view text, std::size_t count) {
  std::size_t end = 0;
  while (end < text.size() && (continues_character(text[end]) || count-- > 0)) ++end;
  return text.substr(0, end);
}

}  // namespace assay
