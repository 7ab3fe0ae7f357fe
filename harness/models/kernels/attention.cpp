#include "harness/models/kernels/attention.h"

#include <ATen/ATen.h>

#include <optional>

#include "harness/models/kernels/loops.h"
#include "harness/models/kernels/usable.h"

namespace assay::models::kernels {
namespace {

constexpr std::int64_t kMostWidth = 64;
constexpr std::int64_t kMostKeys = 1024;

bool fits(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v) {
  const auto rows = [](const at::Tensor& x) { return usable(x) && x.stride(3) == 1; };
  return rows(q) && rows(k) && rows(v) && q.numel() > 0 && k.size(2) > 0 &&
         q.size(3) <= kMostWidth && k.size(2) <= kMostKeys;
}

HeadRows rows_of(const at::Tensor& x, std::int64_t batch, std::int64_t head) {
  return {x.const_data_ptr<float>() + batch * x.stride(0) + head * x.stride(1), x.stride(2)};
}

at::Tensor by_our_loop(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v, double scale,
                       bool causal) {
  const std::int64_t heads = q.size(1);
  const std::int64_t group = heads / k.size(1);
  const at::Tensor out = at::empty({q.size(0), q.size(2), heads, q.size(3)}, q.options());
  const at::Tensor scratch = at::empty({attention_scratch(k.size(2), q.size(3))}, q.options());
  float* const to = out.mutable_data_ptr<float>();
  for (std::int64_t b = 0; b < q.size(0); ++b) {
    for (std::int64_t h = 0; h < heads; ++h) {
      loops()->attention_head({.q = rows_of(q, b, h),
                               .k = rows_of(k, b, h / group),
                               .v = rows_of(v, b, h / group),
                               .out = to + b * out.stride(0) + h * out.stride(2),
                               .out_stride = out.stride(1),
                               .queries = q.size(2),
                               .keys = k.size(2),
                               .width = q.size(3),
                               .scale = static_cast<float>(scale),
                               .causal = causal,
                               .scratch = scratch.mutable_data_ptr<float>()});
    }
  }
  return out.transpose(1, 2);
}

}  // namespace

at::Tensor repeated(const at::Tensor& x, std::int64_t heads) {
  const std::int64_t own = x.size(1);
  if (own == heads) return x;
  return x.unsqueeze(2)
      .expand({x.size(0), own, heads / own, x.size(2), x.size(3)})
      .reshape({x.size(0), heads, x.size(2), x.size(3)});
}

at::Tensor attention(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v, double scale,
                     bool causal) {
  if (fits(q, k, v)) return by_our_loop(q, k, v, scale, causal);
  const std::int64_t past = k.size(2) - q.size(2);
  std::optional<at::Tensor> seen;  // ATen's own causal mask takes q and k for rows of one square
  if (causal && past > 0) {
    seen = at::ones({q.size(2), k.size(2)}, q.options().dtype(at::kBool)).tril(past);
  }
  return at::scaled_dot_product_attention(q, repeated(k, q.size(1)), repeated(v, q.size(1)), seen,
                                          0.0, causal && past == 0, scale);
}

}  // namespace assay::models::kernels
