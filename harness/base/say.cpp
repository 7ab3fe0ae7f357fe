#include "harness/base/say.h"

#include <utf8cpp/utf8.h>

#include <cstdint>
#include <cstdio>

#include "harness/base/utf8.h"

namespace assay {
namespace {

bool is_harmful(std::uint32_t code) {
  return code < 0x20 || (code >= 0x7F && code < 0xA0) ||        // C0, DEL, C1
         code == 0x061C || code == 0x200E || code == 0x200F ||  // direction marks
         (code >= 0x2028 && code <= 0x202E) ||                  // separators, embeddings
         (code >= 0x2066 && code <= 0x2069);                    // isolates
}

std::string spelled_byte(char byte) {
  return fmt::format("\\x{:02x}", static_cast<unsigned char>(byte));
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
    const std::string_view valid = text.substr(0, find_invalid_utf8(text));
    for (auto at = valid.begin(); at != valid.end();) {
      const auto start = at;
      const std::uint32_t code = utf8::unchecked::next(at);
      const bool laid_out = layout == Layout::kLines && (code == '\n' || code == '\t');
      if (laid_out || !is_harmful(code)) {
        out.append(start, at);
      } else {
        out += spelled(code);
      }
    }
    text.remove_prefix(valid.size());
    if (text.empty()) break;
    out += spelled_byte(text.front());
    text.remove_prefix(1);
  }
  return out;
}

void say_text(std::string_view text) {
  std::fwrite(text.data(), 1, text.size(), stderr);
  std::fflush(stderr);
  std::clearerr(stderr);
}

}  // namespace assay
