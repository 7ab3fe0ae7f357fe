#include "harness/models/decoder.h"

#include <ATen/ATen.h>

#include <utility>

#include "harness/models/random_tensor.h"

namespace assay::models {

AttentionParts attention_named(const std::string& prefix, const char* out, std::int64_t heads,
                               std::int64_t kv_heads, std::int64_t head_dim) {
  AttentionParts parts;
  parts.q = prefix + "self_attn.q_proj";
  parts.k = prefix + "self_attn.k_proj";
  parts.v = prefix + "self_attn.v_proj";
  parts.out = prefix + out;
  parts.heads = heads;
  parts.kv_heads = kv_heads;
  parts.head_dim = head_dim;
  return parts;
}

ScaleGroup scale_group_of_projections(const std::string& prefix, std::vector<std::string> norm) {
  return {.layers = {prefix + "self_attn.q_proj", prefix + "self_attn.k_proj",
                     prefix + "self_attn.v_proj"},
          .producers = std::move(norm),
          .after_norm = true};
}

at::Tensor initial_of_decoder(const std::string& name, const at::Tensor& like, double deviation,
                              Philox& random) {
  const std::vector<std::int64_t> shape = like.sizes().vec();
  if (name.ends_with(".bias")) return at::zeros(shape);
  if (shape.size() == 1) return at::ones(shape);
  return normal_tensor(random, shape, 0.0, deviation);
}

}  // namespace assay::models
