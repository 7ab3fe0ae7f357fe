#pragma once

#include <string_view>

namespace assay {

enum class Verbosity { kQuiet, kNormal, kVerbose };

// Sets up spdlog's default logger once at the start of a program: everything to stderr (stdout
// carries tables), colour only on a terminal and without NO_COLOR. `name` is the program or role
// shown in each line.
void start_logging(std::string_view name, Verbosity verbosity);

}  // namespace assay
