#include "harness/models/causal_attention.h"

#include <ATen/ATen.h>
#include <fmt/format.h>

#include <limits>

#include "harness/core/error.h"

namespace assay::models {
namespace {

// [B, H_kv, T, d] -> [B, H, T, d]
at::Tensor repeated(const at::Tensor& x, std::int64_t heads) {
  const std::int64_t own = x.size(1);
  if (own == heads) return x;
  return x.unsqueeze(2)
      .expand({x.size(0), own, heads / own, x.size(2), x.size(3)})
      .reshape({x.size(0), heads, x.size(2), x.size(3)});
}

}  // namespace

at::Tensor causal_attention(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v,
                            double scale, const std::string& probabilities, Tap& tap) {
  const at::Tensor keys = repeated(k, q.size(1));
  const at::Tensor values = repeated(v, q.size(1));
  if (!tap.wants(probabilities)) {
    return at::scaled_dot_product_attention(q, keys, values, {}, 0.0, /*is_causal=*/true, scale);
  }
  const std::int64_t length = q.size(2);
  const at::Tensor future = at::ones({length, length}, q.options().dtype(at::kBool)).triu(1);
  const at::Tensor scores = at::matmul(q * scale, keys.transpose(-2, -1))
                                .masked_fill(future, -std::numeric_limits<double>::infinity());
  const at::ScalarType type = q.scalar_type();
  const at::ScalarType wide = type == at::kHalf || type == at::kBFloat16 ? at::kFloat : type;
  return at::matmul(tap(probabilities, scores.softmax(-1, wide).to(type)), values);
}

void check_tokens(const at::Tensor& tokens, std::int64_t context) {
  if (tokens.dim() != 2 || tokens.scalar_type() != at::kLong || tokens.size(1) < 1) {
    throw Error(ErrorKind::kData,
                fmt::format("the network takes int64 tokens [batch, length], not {} {}",
                            at::toString(tokens.scalar_type()), c10::str(tokens.sizes())));
  }
  if (tokens.size(1) > context) {
    throw Error(
        ErrorKind::kData,
        fmt::format("sequences of {} tokens are longer than the {} positions of the network",
                    tokens.size(1), context));
  }
}

}  // namespace assay::models
