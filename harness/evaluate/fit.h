#pragma once

#include <cstdint>
#include <vector>

#include "datasets/headers.h"
#include "harness/contract/inspection.h"
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

// Before a run, from headers; nothing is found where one of them is not known (null). Images of
// another size or with more classes than the network has outputs.
void check_images(const models::NetworkInfo* info, const datasets::DataHeaders* data,
                  Findings& findings);

// Token ids beyond the vocabulary, texts that have not `needed` tokens for one window of `context`.
void check_tokens(const models::NetworkInfo* info, const datasets::TokenFacts* tokens,
                  Findings& findings, std::int64_t needed = 0, std::int64_t context = 0);

}  // namespace assay::evaluate
