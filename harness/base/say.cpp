#include "harness/base/say.h"

#include <cstdint>
#include <cstdio>

namespace assay {
namespace {

// One character of UTF-8 as it stands; what is none counts as one byte.
struct Character {
  std::uint32_t code = 0;
  std::size_t bytes = 1;
};

Character first_of(std::string_view text) {
  const auto byte = [&](std::size_t i) { return static_cast<unsigned char>(text[i]); };
  const auto follows = [&](std::size_t i) { return i < text.size() && (byte(i) & 0xC0) == 0x80; };
  if ((byte(0) & 0xE0) == 0xC0 && follows(1)) {
    return {(byte(0) & 0x1Fu) << 6 | (byte(1) & 0x3Fu), 2};
  }
  if ((byte(0) & 0xF0) == 0xE0 && follows(1) && follows(2)) {
    return {(byte(0) & 0x0Fu) << 12 | (byte(1) & 0x3Fu) << 6 | (byte(2) & 0x3Fu), 3};
  }
  if ((byte(0) & 0xF8) == 0xF0 && follows(1) && follows(2) && follows(3)) {
    return {(byte(0) & 0x07u) << 18 | (byte(1) & 0x3Fu) << 12 | (byte(2) & 0x3Fu) << 6 |
                (byte(3) & 0x3Fu),
            4};
  }
  return {byte(0), 1};
}

bool is_harmful(std::uint32_t code) {
  return code < 0x20 || (code >= 0x7F && code < 0xA0) ||        // C0, DEL, C1
         code == 0x061C || code == 0x200E || code == 0x200F ||  // direction marks
         (code >= 0x2028 && code <= 0x202E) ||                  // separators, embeddings
         (code >= 0x2066 && code <= 0x2069);                    // isolates
}

std::string spelled(std::uint32_t code) {
  if (code == '\n') return "\\n";
  if (code == '\r') return "\\r";
  if (code == '\t') return " ";
  return code < 0x100 ? fmt::format("\\x{:02x}", code) : fmt::format("\\u{:04x}", code);
}

}  // namespace

std::string harmless(std::string_view text, Layout layout) {
  std::string out;
  out.reserve(text.size());
  while (!text.empty()) {
    const Character c = first_of(text);
    const bool laid_out = layout == Layout::kLines && (c.code == '\n' || c.code == '\t');
    if (laid_out || !is_harmful(c.code)) {
      out += text.substr(0, c.bytes);
    } else {
      out += spelled(c.code);
    }
    text.remove_prefix(c.bytes);
  }
  return out;
}

void say_text(std::string_view text) {
  std::fwrite(text.data(), 1, text.size(), stderr);
  std::fflush(stderr);
  std::clearerr(stderr);
}

}  // namespace assay
