#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>

namespace assay::models::kernels {

// [B, H_kv, K, d] -> [B, H, K, d]: every head H / H_kv times; the same tensor if H_kv = H.
at::Tensor repeated(const at::Tensor& x, std::int64_t heads);

// softmax(q k^T scale) v, with `causal` the softmax of row i over the first K - Q + i + 1 keys.
//   q: [B, H, Q, d]; k, v: [B, H_kv, K, d], each head serving H / H_kv consecutive query heads;
//   `causal` needs Q <= K. Any strides: heads are read where a projection wrote them.
//   result: [B, H, Q, d]; of our kernel a view of [B, Q, H, d], so that joining heads copies
//   nothing.
//
// ATen's fused kernel for CPUs is made for long sequences of wide heads. For short and narrow ones,
// where `usable` allows, a loop of ours runs instead: up to 64 channels and 1,024 keys. It differs
// from exact arithmetic by no more than ATen's does: float32 products, exponentials within 1 ulp,
// what lies above the diagonal neither computed nor read.
at::Tensor attention(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v, double scale,
                     bool causal);

}  // namespace assay::models::kernels
