#include "harness/base/log.h"

#include <spdlog/sinks/stdout_color_sinks.h>
#include <spdlog/spdlog.h>

#include <cstdlib>
#include <memory>
#include <string>

namespace assay {

void start_logging(std::string_view name, Verbosity verbosity) {
  auto sink = std::make_shared<spdlog::sinks::stderr_color_sink_mt>();
  if (std::getenv("NO_COLOR") != nullptr) sink->set_color_mode(spdlog::color_mode::never);
  auto logger = std::make_shared<spdlog::logger>(std::string(name), sink);
  logger->set_pattern("%n: %^%l%$: %v");
  logger->set_level(verbosity == Verbosity::kQuiet    ? spdlog::level::err
                    : verbosity == Verbosity::kNormal ? spdlog::level::info
                                                      : spdlog::level::debug);
  spdlog::set_default_logger(logger);
}

void log_line(LogLevel level, std::string_view text) {
  constexpr spdlog::level::level_enum kLevels[] = {spdlog::level::debug, spdlog::level::info,
                                                   spdlog::level::warn, spdlog::level::err};
  spdlog::log(kLevels[static_cast<int>(level)], "{}", text);
}

}  // namespace assay
