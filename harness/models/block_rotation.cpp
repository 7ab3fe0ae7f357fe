#include "harness/models/block_rotation.h"

#include <ATen/ATen.h>

#include <vector>

namespace assay::models {
namespace {

std::int64_t checked_width(std::int64_t mlp_width) {
  require_hadamard(mlp_width, "the width of the MLP");
  return mlp_width;
}

}  // namespace

BlockRotation::BlockRotation(std::int64_t heads, std::int64_t head_dim, std::int64_t mlp_width)
    : heads_(heads), head_dim_(head_dim), mlp_(checked_width(mlp_width)) {
  if (has_hadamard(head_dim)) head_.emplace(head_dim);
  if (head_ && has_hadamard(heads)) {
    across_.emplace(heads);
  } else {
    require_hadamard(heads * head_dim, "the width of the heads together");
    whole_.emplace(heads * head_dim);
  }
}

// Each head by its own matrix.
at::Tensor BlockRotation::by_head(const at::Tensor& x, bool inverse) const {
  if (!head_) return x;
  const at::Tensor heads = x.reshape({-1, heads_, head_dim_});
  return (inverse ? head_->inverse(heads) : (*head_)(heads)).reshape(x.sizes());
}

at::Tensor BlockRotation::joined(const at::Tensor& x) const {
  if (whole_) return (*whole_)(by_head(x, true));
  const at::Tensor channels = x.reshape({-1, heads_, head_dim_}).transpose(1, 2);
  return (*across_)(channels).transpose(1, 2).reshape(x.sizes());
}

at::Tensor BlockRotation::joined_back(const at::Tensor& x) const {
  if (whole_) return by_head(whole_->inverse(x), false);
  const at::Tensor channels = x.reshape({-1, heads_, head_dim_}).transpose(1, 2);
  return across_->inverse(channels).transpose(1, 2).reshape(x.sizes());
}

at::Tensor BlockRotation::whole(const at::Tensor& x) const {
  return whole_ ? (*whole_)(x) : joined(by_head(x, false));
}

}  // namespace assay::models
