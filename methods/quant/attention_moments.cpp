#include "methods/quant/attention_moments.h"

#include <ATen/ATen.h>

#include <utility>

namespace assay::quant {
namespace {

at::Tensor moments_by_head(const std::vector<MomentAccumulator>& heads) {
  std::vector<at::Tensor> all;
  for (const MomentAccumulator& head : heads) all.push_back(head.hessian(MomentUnit::kToken));
  return at::stack(all);
}

// [heads, ..] -> [groups, ..]: the mean of each run of heads / groups.
at::Tensor mean_by_group(const at::Tensor& by_head, std::int64_t groups) {
  return by_head.reshape({groups, -1, by_head.size(1), by_head.size(2)}).mean(1);
}

}  // namespace

AttentionMoments::AttentionMoments(models::AttentionParts parts, std::string input_site,
                                   bool values, at::Tensor prefix_keys)
    : parts_(std::move(parts)),
      input_site_(std::move(input_site)),
      values_(values),
      prefix_keys_(std::move(prefix_keys)),
      queries_(static_cast<std::size_t>(parts_.heads)),
      keys_(static_cast<std::size_t>(parts_.kv_heads)),
      mixed_(static_cast<std::size_t>(values ? parts_.heads : 0)) {}

SiteNames AttentionMoments::sites() const {
  SiteNames sites = {input_site_, parts_.queries, parts_.keys};
  if (values_) sites.insert(parts_.probabilities);
  return sites;
}

// [B, T, heads, d] of what counts.
at::Tensor AttentionMoments::by_head(const at::Tensor& value, std::int64_t heads) const {
  const at::Tensor counted = chunk_ ? chunk_->counted(value) : value;
  if (value.dim() == 4) return counted.transpose(1, 2);
  return counted.reshape({counted.size(0), counted.size(1), heads, parts_.head_dim});
}

// keys [B, T, kv_heads, d] behind those of the prefix.
at::Tensor AttentionMoments::with_prefix(const at::Tensor& keys) const {
  if (!prefix_keys_.defined()) return keys;
  const at::Tensor before = prefix_keys_.transpose(1, 2);
  return at::cat({before.expand({keys.size(0), -1, -1, -1}), keys}, 1);
}

at::Tensor AttentionMoments::turned(const at::Tensor& moments) const {
  return rotated_mean(moments, parts_.rotary, length_,
                      prefix_keys_.defined() ? prefix_keys_.size(2) : 0);
}

at::Tensor AttentionMoments::operator()(std::string_view site, const at::Tensor& value) {
  const auto add = [](std::vector<MomentAccumulator>& heads, const at::Tensor& values) {
    for (std::size_t h = 0; h < heads.size(); ++h) {
      heads[h].add(values.select(2, static_cast<std::int64_t>(h)));
    }
  };
  if (site == input_site_) {
    input_ = chunk_ ? chunk_->counted(value) : value;
    length_ = value.size(1);
  }
  if (site == parts_.queries) add(queries_, by_head(value, parts_.heads));
  if (site == parts_.keys) add(keys_, with_prefix(by_head(value, parts_.kv_heads)));
  if (values_ && site == parts_.probabilities) {
    const at::Tensor counted = chunk_ ? chunk_->counted(value) : value;
    for (std::size_t h = 0; h < mixed_.size(); ++h) {
      mixed_[h].add(at::matmul(counted.select(1, static_cast<std::int64_t>(h)), input_));
    }
    input_ = at::Tensor();
  }
  return value;
}

at::Tensor AttentionMoments::rows_of_queries() const {
  const at::Tensor keys =
      moments_by_head(keys_).repeat_interleave(parts_.heads / parts_.kv_heads, 0);
  return turned(keys);
}

at::Tensor AttentionMoments::rows_of_keys() const {
  return turned(mean_by_group(moments_by_head(queries_), parts_.kv_heads));
}

at::Tensor AttentionMoments::columns_of_values() const {
  return mean_by_group(moments_by_head(mixed_), parts_.kv_heads);
}

at::Tensor rotated_mean(const at::Tensor& moments, const std::vector<double>& frequencies,
                        std::int64_t length, std::int64_t first) {
  if (frequencies.empty()) return moments;
  const at::Tensor positions = at::arange(first, first + length, at::kDouble).unsqueeze(1);
  const at::Tensor angles = positions * at::tensor(frequencies, at::kDouble).unsqueeze(0);
  const at::Tensor c = angles.cos().to(moments.device()), s = angles.sin().to(moments.device());
  const auto mean_product = [&](const at::Tensor& a, const at::Tensor& b) {
    return at::matmul(a.t(), b) / static_cast<double>(length);
  };
  const at::Tensor cc = mean_product(c, c), cs = mean_product(c, s), sc = cs.t(),
                   ss = mean_product(s, s);
  const std::int64_t half = static_cast<std::int64_t>(frequencies.size());
  const at::Tensor wide = moments.to(at::kDouble);
  const auto part = [&](std::int64_t row, std::int64_t column) {
    return wide.narrow(-2, row * half, half).narrow(-1, column * half, half);
  };
  const at::Tensor m11 = part(0, 0), m12 = part(0, 1), m21 = part(1, 0), m22 = part(1, 1);
  const at::Tensor top = at::cat(
      {m11 * cc + m12 * cs + m21 * sc + m22 * ss, m12 * cc - m11 * cs + m22 * sc - m21 * ss}, -1);
  const at::Tensor bottom = at::cat(
      {m21 * cc + m22 * cs - m11 * sc - m12 * ss, m22 * cc - m21 * cs - m12 * sc + m11 * ss}, -1);
  return at::cat({top, bottom}, -2).to(moments.scalar_type());
}

}  // namespace assay::quant
