#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>

#include "harness/models/network.h"
#include "harness/models/tap.h"

namespace assay::models {

// How the next token is chosen from logits z.
struct Sampling {
  double temperature = 0;  // 0: the largest z, the smallest id of equals; above: softmax(z / it)
  std::int64_t top_k = 0;  // only the largest so many may be drawn; 0: all
  std::uint64_t seed = 0;  // row r of a batch draws from the stream (seed, "generation", r)
};

// Continues prompts int64 [B, T] by `tokens` tokens through a cache: int64 [B, T + tokens]. A row
// does not depend on the rows beside it beyond the last bits of its logits. Throws Error(kConfig)
// for a sampling that cannot be, Error(kData) where prompt and continuation are longer than the
// network's context.
at::Tensor generate(const Network& network, const at::Tensor& prompts, std::int64_t tokens,
                    const Sampling& sampling, Tap& tap);

// What tokens, int64 [m], leave in a cache: a prefix that stands for them. Empty for none. The
// network's own prefix is not seen.
Prefix prefix_of(const Network& network, const at::Tensor& tokens);

}  // namespace assay::models
