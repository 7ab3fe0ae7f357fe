#pragma once

#include "methods/method.h"

// CushionCache: a few tokens, found by search, whose keys and values stand before every sequence
// and take the outliers of activations. Rounds nothing: another method does, behind the prefix.
// Stages: cushioncache.search, cushioncache.prefix.

namespace assay {

Method cushioncache_method();

}  // namespace assay

namespace assay::cushioncache {

// Runs the search and the tuning on a tiny network with a planted attention sink.
void canary();

}  // namespace assay::cushioncache
