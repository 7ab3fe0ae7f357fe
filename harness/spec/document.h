#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "harness/spec/node.h"

namespace assay::spec {

// The tree of a sweep file after includes and overrides. `include:` is gone from it. Maps of an
// included file and of the file that includes it are merged key by key, the including file wins;
// lists and scalars are replaced whole. Throws Error(kConfig): a file that cannot be read, a cycle,
// more than 16 levels or 100 files, an override whose path leads nowhere.
Node load_document(const std::filesystem::path& file, const std::vector<std::string>& overrides);

// Sets one value of --set: "run.slots=4", "trials.0.seed=[1, 2]".
void apply_override(Node& root, const std::string& override_text);

// The path that a scalar means: relative ones start at the folder of the file that names them (for
// --set: at the working directory). The node's text becomes the absolute path. "~/" and "$NAME" are
// not expanded.
std::filesystem::path resolve_path(Node& node, std::string_view what);

}  // namespace assay::spec
