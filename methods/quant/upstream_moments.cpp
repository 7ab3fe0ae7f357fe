#include "methods/quant/upstream_moments.h"

#include <ATen/ATen.h>
#include <fmt/format.h>

#include <utility>
#include <vector>

namespace assay::quant {
namespace {

std::string key_of_head(std::int64_t head) { return fmt::format("values.{}", head); }

}  // namespace

UpstreamMoments::UpstreamMoments(std::set<std::string> sites,
                                 std::optional<models::AttentionParts> parts,
                                 std::string value_site)
    : sites_(std::move(sites)), parts_(std::move(parts)), value_site_(std::move(value_site)) {}

at::Tensor UpstreamMoments::operator()(std::string_view site, const at::Tensor& value) {
  const std::string name(site);
  const bool watched = sites_.contains(name), probabilities = wants(site);
  if (!watched && !probabilities && name != value_site_) return value;
  const at::Tensor counted = chunk_ ? chunk_->counted(value) : value;
  if (name == value_site_) values_ = counted;
  if (watched) take(name, counted);
  if (probabilities) {
    for (std::int64_t h = 0; h < parts_->heads; ++h) {
      take(key_of_head(h), at::matmul(counted.select(1, h), values_));
    }
  }
  return value;
}

void UpstreamMoments::take(const std::string& key, const at::Tensor& counted) {
  const at::Tensor flat = counted.reshape({-1, counted.size(-1)});
  if (float_pass_) {
    kept_[key] = flat;
    return;
  }
  Sum& sum = sums_[key];
  const at::Tensor part = at::matmul((kept_.at(key) - flat).t(), flat).to(at::kDouble);
  sum.moments = sum.moments.defined() ? sum.moments + part : part;
  sum.tokens += flat.size(0);
  sum.type = flat.scalar_type();
  kept_.erase(key);
}

at::Tensor UpstreamMoments::mean_of(const std::string& key) const {
  const Sum& sum = sums_.at(key);
  return (sum.moments * (2.0 / static_cast<double>(sum.tokens))).to(sum.type);
}

at::Tensor UpstreamMoments::of_values() const {
  std::vector<at::Tensor> heads;
  for (std::int64_t h = 0; h < parts_->heads; ++h) heads.push_back(mean_of(key_of_head(h)));
  const at::Tensor all = at::stack(heads);
  return all.reshape({parts_->kv_heads, -1, all.size(1), all.size(2)}).mean(1);
}

}  // namespace assay::quant
