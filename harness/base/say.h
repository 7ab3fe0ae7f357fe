#pragma once

#include <fmt/format.h>

#include <string>
#include <string_view>
#include <utility>

namespace assay {

// Text for a terminal with nothing in it that a terminal obeys: control characters (also those of
// ISO 6429 above ASCII) and marks that turn the direction of writing become \n, \r, \x1b, \u202e
// and so on. What a provider says passes through here before anybody sees it.
enum class Layout { kOneLine, kLines };  // kLines: line feeds and tabs stay
std::string harmless(std::string_view text, Layout layout = Layout::kOneLine);

// Writes to stderr. What cannot be written there is lost, and changes nothing else: results,
// records and exit codes do not depend on who listens.
void say_text(std::string_view text);

template <typename... Args>
void say(fmt::format_string<Args...> format, Args&&... args) {
  say_text(fmt::format(format, std::forward<Args>(args)...));
}

}  // namespace assay
