#include "harness/models/decoder.h"

#include <ATen/ATen.h>
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <utility>

#include "harness/base/error.h"
#include "harness/models/causal_attention.h"
#include "harness/models/random_tensor.h"

namespace assay::models {

at::Tensor Decoder::embed(const at::Tensor& input, Tap& tap) const {
  check_tokens(input, info().context);
  const WeightHold held = hold(-1);
  return embed_at(prefix_.length(), input, tap);
}

at::Tensor Decoder::unit(std::int64_t index, const at::Tensor& hidden, Tap& tap) const {
  const WeightHold held = hold(index);
  Prefix past = prefix_;
  return block(index, hidden, past, tap);
}

at::Tensor Decoder::head(const at::Tensor& hidden, Tap& tap) const {
  const WeightHold held = hold(unit_count());
  return logits(hidden, tap);
}

at::Tensor Decoder::decode(const at::Tensor& tokens, KeyValueCache& cache, Tap& tap) const {
  check_tokens(tokens, info().context + prefix_.length() - cache.length());
  at::Tensor hidden;
  {
    const WeightHold held = hold(-1);
    hidden = embed_at(cache.length(), tokens, tap);
  }
  for (std::int64_t i = 0; i < unit_count(); ++i) {
    const WeightHold held = hold(i);
    hidden = block(i, hidden, cache, tap);
  }
  cache.advance(tokens.size(1));
  return head(hidden, tap);
}

std::vector<std::vector<std::string>> Decoder::weights_by_unit() const {
  const bool tied = !parameters_.contains("lm_head.weight");
  std::vector<std::vector<std::string>> names(static_cast<std::size_t>(unit_count() + 2));
  names.front() = {embedding()};
  for (const Layer& layer : layers()) {
    names[static_cast<std::size_t>(layer.unit + 1)].push_back(layer.name + ".weight");
  }
  names.back() = {tied ? embedding() : "lm_head.weight"};
  return names;
}

void Decoder::set_prefix(Prefix prefix) {
  const auto units = static_cast<std::int64_t>(prefix.units().size());
  if (!prefix.empty() && units != unit_count()) {
    throw Error(ErrorKind::kData, fmt::format("a prefix of {} units does not fit a network of {}",
                                              units, unit_count()));
  }
  for (std::int64_t i = 0; i < units; ++i) {
    const KeyValues& pair = prefix.units()[static_cast<std::size_t>(i)];
    const AttentionParts parts = *attention_parts(i);
    const std::vector<std::int64_t> shape = {1, parts.kv_heads, prefix.length(), parts.head_dim};
    for (const at::Tensor* each : {&pair.keys, &pair.values}) {
      if (each->sizes() == at::IntArrayRef(shape) && each->scalar_type() == dtype()) continue;
      throw Error(ErrorKind::kData,
                  fmt::format("the prefix of unit {} is {} {}, but the network takes {} [{}]", i,
                              at::toString(each->scalar_type()), c10::str(each->sizes()),
                              at::toString(dtype()), fmt::join(shape, ", ")));
    }
  }
  prefix_ = std::move(prefix);
}

void require_own_head(const Configuration& configuration) {
  if (configuration.flag("rotated") && configuration.flag("tie_word_embeddings"))
    configuration.reject("tie_word_embeddings",
                         "is true, but the head of a rotated network is a tensor of its own: "
                         "write false");
}

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
