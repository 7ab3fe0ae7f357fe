#include "methods/awq/statistics.h"

#include <ATen/ATen.h>

#include <algorithm>

#include "methods/quant/moments.h"
#include "methods/quant/tap_sequence.h"

namespace assay::awq {
namespace {

constexpr std::int64_t kSampledTokens = 512;

class StatisticsTap : public models::Tap {
 public:
  StatisticsTap(std::int64_t length, std::int64_t stride) : length_(length), stride_(stride) {}

  void watch(const std::string& site, bool moments) {
    sizes_[site];
    sampled_.watch(site);
    if (moments) all_.watch(site);
  }

  void begin(const quant::Chunk* chunk) { chunk_ = chunk; }

  at::Tensor operator()(std::string_view site, const at::Tensor& value) override {
    const auto found = sizes_.find(site);
    if (found == sizes_.end()) return value;
    const at::Tensor counted = chunk_->counted(value);
    const at::Tensor tokens = counted.reshape({-1, counted.size(-1)});
    const at::Tensor sum = tokens.abs().sum({0}, false, at::kDouble);
    found->second = found->second.defined() ? found->second + sum : sum;
    all_(site, counted);
    // Counted over all chunks, so that their size does not matter.
    const std::int64_t before = chunk_->begin * length_;
    const std::int64_t first = (stride_ - before % stride_) % stride_;
    if (first < tokens.size(0)) {
      sampled_(site, tokens.slice(0, first, tokens.size(0), stride_));
    }
    return value;
  }

  const std::map<std::string, at::Tensor, std::less<>>& sizes() const { return sizes_; }
  const quant::MomentTap& all() const { return all_; }
  const quant::MomentTap& sampled() const { return sampled_; }

 private:
  std::int64_t length_, stride_;
  const quant::Chunk* chunk_ = nullptr;
  std::map<std::string, at::Tensor, std::less<>> sizes_;  // sums in float64
  quant::MomentTap all_, sampled_;
};

std::int64_t sequences_of(const quant::UnitInputs& inputs) {
  return inputs.chunks.back().begin + inputs.chunks.back().valid;
}

}  // namespace

InputStatistics input_statistics(const models::Network& network, const quant::UnitInputs& inputs,
                                 const std::set<std::string>& moment_sites) {
  const std::int64_t length = inputs.hidden.front().size(1);
  const std::int64_t tokens = sequences_of(inputs) * length;
  StatisticsTap statistics(length, std::max<std::int64_t>(1, tokens / kSampledTokens));
  for (const models::Layer& layer : network.layers()) {
    if (layer.unit != inputs.unit) continue;
    statistics.watch(layer.input_site, moment_sites.contains(layer.input_site));
  }
  quant::TapSequence tap(inputs.own, statistics);
  for (std::size_t i = 0; i < inputs.hidden.size(); ++i) {
    inputs.between_chunks();
    statistics.begin(&inputs.chunks[i]);
    network.unit(inputs.unit, inputs.hidden[i], tap);
  }
  InputStatistics out;
  for (const auto& [site, sum] : statistics.sizes()) {
    out.sampled[site] = statistics.sampled().hessian(site, quant::MomentUnit::kToken);
    out.mean_sizes[site] =
        (sum / static_cast<double>(tokens)).to(out.sampled.at(site).scalar_type());
    if (moment_sites.contains(site)) {
      out.moments[site] = statistics.all().hessian(site, quant::MomentUnit::kToken);
    }
  }
  return out;
}

}  // namespace assay::awq
