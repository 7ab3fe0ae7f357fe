#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <optional>

#include "harness/models/hadamard.h"

namespace assay::models {

// What the blocks of a rotated decoder turn as they run: queries and keys, in front of the scores
// and of the key-value cache; the joined outputs of the heads, in front of the output projection;
// the inputs of the last layer of the MLP. The weights of a rotated network hold the other half
// (methods/quarot), so that its function is that of the network it was made from. Source: QuaRot,
// Ashkboos et al. 2024 (arXiv 2404.00456), sections 4.2 and 4.3. Used by one thread.
//
// Values leave their projection as H_d v, a head of d channels. All heads together, n = heads d
// channels, are to be rotated by one matrix of size n: by H_heads (x) H_d where there is one of
// size `heads`, so that only H_heads is left to be applied; else (9 heads of 64) by H_n, and the
// heads are turned back first.
class BlockRotation {
 public:
  // Throws Error(kUnsupported) naming what has a size without Hadamard matrix: the MLP, or the
  // heads together. Heads whose own size has none are left as they are, queries and keys with them.
  BlockRotation(std::int64_t heads, std::int64_t head_dim, std::int64_t mlp_width);

  bool turns_heads() const { return head_.has_value(); }

  // [.., head_dim]: queries, keys, or the rows of v.
  at::Tensor head(const at::Tensor& x) const { return head_ ? (*head_)(x) : x; }
  at::Tensor head_back(const at::Tensor& x) const { return head_ ? head_->inverse(x) : x; }

  // [.., heads * head_dim]: the outputs of heads whose values are turned, and back.
  at::Tensor joined(const at::Tensor& x) const;
  at::Tensor joined_back(const at::Tensor& x) const;

  // joined() of heads that are not turned: the columns of the output projection.
  at::Tensor whole(const at::Tensor& x) const;

  // [.., mlp_width].
  at::Tensor mlp(const at::Tensor& x) const { return mlp_(x); }

 private:
  at::Tensor by_head(const at::Tensor& x, bool inverse) const;

  std::int64_t heads_, head_dim_;
  std::optional<Hadamard> head_;    // of size head_dim
  std::optional<Hadamard> across_;  // of size heads; else
  std::optional<Hadamard> whole_;   // of size heads * head_dim
  Hadamard mlp_;
};

}  // namespace assay::models
