#pragma once

#include <ATen/core/Tensor.h>

#include <string>

#include "harness/models/tap.h"

namespace assay::models {

// softmax(q k^T scale, causal) v. q: [B, H, T, d]; k, v: [B, H_kv, m + T, d], each serving H / H_kv
// consecutive query heads, the first m of positions before those of q, which every query sees;
// result [B, H, T, d]. If the tap wants `probabilities`, they are computed explicitly, softmax in
// float32 at least, and those of the T own positions are handed to it as [B, H, T, T]; otherwise a
// fused kernel runs.
at::Tensor causal_attention(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v,
                            double scale, const std::string& probabilities, Tap& tap);

// Throws Error(kData) unless `tokens` are int64 [B, T] with 1 <= T <= context.
void check_tokens(const at::Tensor& tokens, std::int64_t context);

}  // namespace assay::models
