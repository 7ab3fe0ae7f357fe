#include "harness/models/causal_attention.h"

#include <ATen/ATen.h>
#include <fmt/format.h>

#include <limits>

#include "harness/base/error.h"
#include "harness/models/kernels/attention.h"

namespace assay::models {
at::Tensor causal_attention(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v,
                            double scale, const std::string& probabilities, Tap& tap) {
  if (!tap.wants(probabilities)) return kernels::attention(q, k, v, scale, /*causal=*/true);
  const at::Tensor keys = kernels::repeated(k, q.size(1));
  const at::Tensor values = kernels::repeated(v, q.size(1));
  const std::int64_t length = q.size(2);
  const std::int64_t past = k.size(2) - length;
  const at::Tensor future =
      at::ones({length, past + length}, q.options().dtype(at::kBool)).triu(past + 1);
  const at::Tensor scores = at::matmul(q * scale, keys.transpose(-2, -1))
                                .masked_fill(future, -std::numeric_limits<double>::infinity());
  const at::ScalarType type = q.scalar_type();
  const at::ScalarType wide = type == at::kHalf || type == at::kBFloat16 ? at::kFloat : type;
  const at::Tensor shares = scores.softmax(-1, wide).to(type);
  if (past == 0) return at::matmul(tap(probabilities, shares), values);
  const at::Tensor own = tap(probabilities, shares.narrow(3, past, length).contiguous());
  return at::matmul(at::cat({shares.narrow(3, 0, past), own}, 3), values);
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
