#pragma once

#include <filesystem>
#include <string>

#include "harness/base/json.h"
#include "harness/contract/stage_context.h"
#include "harness/models/network.h"
#include "methods/cushioncache/search.h"
#include "methods/quant/method_network.h"

// What both stages publish: a network that has a prefix and rounds nothing, and the search that
// found the prefix, as search.json.

namespace assay::cushioncache {

constexpr const char* kSearch = "search.json";

Json json_of(const SearchState& state);

// Throws Error(kData) for a file that is not what json_of wrote.
SearchState load_search(const std::filesystem::path& file);

// Saves both in the stage's output; returns the stage's result.
Json publish(StageContext& context, const quant::MethodNetwork& loaded, models::Prefix prefix,
             const SearchState& search);

}  // namespace assay::cushioncache
