#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <vector>

// How far the next-token distributions q of a language model are from those of another, p: pure
// arithmetic. Natural logarithms throughout.

namespace assay::evaluate {

// One value a position.
struct PositionDivergence {
  at::Tensor kld;       // float64 [n]: KL(p, q) = sum_v p_v (log p_v - log q_v), in nats
  at::Tensor entropy;   // float64 [n]: of p, -sum_v p_v log p_v, in nats
  at::Tensor delta_p;   // float64 [n]: p_t - q_t at the target t
  at::Tensor ln_ratio;  // float64 [n]: log p_t - log q_t
  at::Tensor same_top;  // uint8 [n]: both have their largest logit at one token; of equal ones the
                        // first counts
};

// p and q: logits [n, vocabulary] of the same dtype, of p's distribution and of q's; targets: int64
// [n]. Log-softmax in float32 (float64 for float64 logits), everything after it in float64.
//
// Equal logits have a KL divergence of exactly 0. That of nearly equal ones may be as much as some
// 1e-6 below 0, for the float32 probabilities of a row do not add up to 1 exactly. It is left as it
// is: cut off at 0 the mean would be too large.
PositionDivergence divergence(const at::Tensor& p, const at::Tensor& q, const at::Tensor& targets);

// The positions of a text in data order, and sums over those of each window, in float64.
struct DivergenceRecords {
  at::Tensor window_tokens;           // int64 [w]: positions
  at::Tensor window_size;             // int64 [w]: tokens that the window holds; its positions are
                                      // the last ones, and at most size - 1
  at::Tensor window_kld;              // float64 [w]
  at::Tensor window_same_top;         // float64 [w]: 100 for each position with the same top token
  at::Tensor window_ln_ratio;         // float64 [w]
  at::Tensor window_delta_p_squared;  // float64 [w]
  at::Tensor token_kld;               // float64 [n]
  at::Tensor token_entropy;           // float32 [n]
  at::Tensor token_delta_p;           // float32 [n]
  at::Tensor token_same_top;          // uint8 [n]
};

struct DivergenceMetrics {
  std::int64_t windows = 0;
  std::int64_t tokens = 0;
  double kld_mean = 0;  // nats, over positions
  double kld_p99 = 0;   // quantiles over positions, linear between order statistics
  double kld_p999 = 0;
  double kld_max = 0;
  double top1_agreement = 0;  // %
  double delta_p_rms = 0;     // sqrt of the mean of delta_p^2
  double ln_ppl_ratio = 0;    // nats a token: mean of the window means of ln_ratio if all windows
                              // have equally many positions, else total / positions
};

// Reduced in float64 in data order. Throws Error(kData) if there is no position, or the
// windows have other ones than there are.
DivergenceMetrics summarise(const DivergenceRecords& records);

// The mean of some positions; `tenth`: 1 to 10.
struct TenthMean {
  std::int64_t tenth = 0;
  double kld = 0;
  double entropy = 0;
};

// Over positions by where they stand: a token at index i of a window is in tenth floor(10 i /
// context) + 1. Tenths without a position are left out. `context`: tokens of the longest window.
std::vector<TenthMean> by_position(const DivergenceRecords& records, std::int64_t context);

// Over positions by the entropy of p, the most certain tenth first: of n positions in the order of
// their entropy, of equal ones in data order, those from (k - 1) n / 10 to k n / 10. Tenths without
// a position are left out.
std::vector<TenthMean> by_entropy(const DivergenceRecords& records);

}  // namespace assay::evaluate
