#pragma once

#include <cstdint>

#include "harness/contract/catalogue.h"
#include "harness/plan/inputs.h"
#include "harness/spec/sweep.h"

namespace assay::plan {

// Windows that a method leaves open are not longer than this, however long a network's own are.
inline constexpr std::int64_t kMostDefaultContext = 2048;

// The longest sequence in tokens that a model's configuration says it takes (a `config:` of the
// sweep, or the config.json of its checkpoint); 0 if its family declares no such field, or there is
// no configuration to read. Throws Error(kConfig) naming the file and the field that is no count.
std::int64_t network_context(const spec::Model& model, const Catalogue& catalogue,
                             InputDigests& digests);

// Whether a stage rests on windows of a text, drawn by a stage that reads `context` and an input
// "tokens": that parameter of the method is their length.
bool draws_windows(const Catalogue& catalogue, const std::string& stage);

// The parameter `context` of a method for this model: `asked`, or where that is 0 the network's
// own, at most kMostDefaultContext. Throws Error(kConfig) with the place of the model if the
// network takes fewer tokens than asked, or if nothing says how many it takes.
std::int64_t calibration_context(std::int64_t asked, std::int64_t of_network,
                                 const spec::Model& model, const std::string& method);

}  // namespace assay::plan
