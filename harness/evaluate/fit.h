#pragma once

#include <cstdint>
#include <vector>

#include "harness/models/network.h"

// Whether data fits a network: asked before a run from headers, and again by the stages themselves.

namespace assay::evaluate {

// A set of `classes` classes. Throws Error(kConfig) if the network has fewer outputs.
void require_classes(const models::NetworkInfo& info, std::int64_t classes);

// Images of a folder, of `classes` classes, for a network that came trained. It has an output for
// each class of the list, in its order: a shorter list would give most classes numbers of others.
// Throws Error(kConfig) unless there are as many.
void require_every_class(const models::NetworkInfo& info, std::int64_t classes);

// Images [C, H, W] as the set stores them; one channel feeds three. Throws Error(kConfig).
void require_image_shape(const models::NetworkInfo& info, const std::vector<std::int64_t>& shape);

// Windows of `context` tokens. Throws Error(kConfig) if the network takes fewer.
void require_context(const models::NetworkInfo& info, std::int64_t context);

// Sequences of `tokens` tokens that are timed: a shorter one would be another measurement under the
// same name. Throws Error(kConfig) if the network takes fewer.
void require_length(const models::NetworkInfo& info, std::int64_t tokens);

// Token ids up to `largest`. Throws Error(kData) if the network's vocabulary ends before.
void require_vocabulary(const models::NetworkInfo& info, std::int64_t largest);

}  // namespace assay::evaluate
