#pragma once

#include <filesystem>
#include <string>

#include "harness/base/json.h"

// What the bodies of stages put into their results, and read from those of others.

namespace assay {

// Adds a line to "note".
void add_note(Json& result, const std::string& note);

// Adds a metric; one that is not finite (the exponential of a diverged loss) is left out and named
// in "note".
void add_metric(Json& result, const std::string& name, double value);

// "fingerprint" of an input's result.json.
Json fingerprint_of(const std::filesystem::path& artifact);

}  // namespace assay
