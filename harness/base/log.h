#pragma once

#include <fmt/core.h>

#include <string_view>
#include <utility>

namespace assay {

enum class Verbosity { kQuiet, kNormal, kVerbose };

// Sets up the log once at the start of a program: everything to stderr (stdout carries tables),
// colour only on a terminal and without NO_COLOR. `name` is the program or role shown in each line.
void start_logging(std::string_view name, Verbosity verbosity);

enum class LogLevel { kDebug, kInfo, kWarning, kError };

// One line of the log.
void log_line(LogLevel level, std::string_view text);

// The same, formatted: log_warning("{}: waiting for it", file). spdlog stays behind log_line(): its
// own forms compile the whole of fmt into every file that logs.
template <typename... Args>
void log_debug(fmt::format_string<Args...> format, Args&&... args) {
  log_line(LogLevel::kDebug, fmt::format(format, std::forward<Args>(args)...));
}
template <typename... Args>
void log_info(fmt::format_string<Args...> format, Args&&... args) {
  log_line(LogLevel::kInfo, fmt::format(format, std::forward<Args>(args)...));
}
template <typename... Args>
void log_warning(fmt::format_string<Args...> format, Args&&... args) {
  log_line(LogLevel::kWarning, fmt::format(format, std::forward<Args>(args)...));
}
template <typename... Args>
void log_error(fmt::format_string<Args...> format, Args&&... args) {
  log_line(LogLevel::kError, fmt::format(format, std::forward<Args>(args)...));
}

}  // namespace assay
