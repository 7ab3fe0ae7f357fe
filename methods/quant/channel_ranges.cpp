#include "methods/quant/channel_ranges.h"

#include <ATen/ATen.h>
#include <fmt/format.h>

#include "harness/base/error.h"

namespace assay::quant {
namespace {

constexpr double kSmallestFactor = 1e-5;
constexpr double kOfTheNext = 0.01;  // how far a middle moves towards that of a sequence

// Moves `middle` over the sequences of values [samples, .., channels].
void move_middle(const at::Tensor& values, at::Tensor& middle) {
  const at::Tensor rows = values.reshape({values.size(0), -1, values.size(-1)});
  const at::Tensor middles = (rows.amax(1) + rows.amin(1)) / 2;
  for (std::int64_t i = 0; i < middles.size(0); ++i) {
    middle = middle.defined() ? middle * (1 - kOfTheNext) + middles[i] * kOfTheNext : middles[i];
  }
}

}  // namespace

ChannelRangeTap::ChannelRangeTap(const std::vector<std::string>& sites, bool middles)
    : middles_(middles) {
  for (const std::string& site : sites) ranges_[site];
}

at::Tensor ChannelRangeTap::operator()(std::string_view site, const at::Tensor& value) {
  const auto found = ranges_.find(site);
  if (found == ranges_.end()) return value;
  const at::Tensor counted = chunk_->counted(value);
  const at::Tensor largest = counted.reshape({-1, counted.size(-1)}).abs().amax(0);
  at::Tensor& kept = found->second.largest;
  kept = kept.defined() ? at::maximum(kept, largest) : largest;
  if (middles_) move_middle(counted, found->second.middle);
  return value;
}

const ChannelRanges& ChannelRangeTap::ranges() const {
  for (const auto& [site, range] : ranges_) {
    if (!range.largest.defined()) {
      throw Error(ErrorKind::kMethod, fmt::format("site '{}' was not reached by the network", site),
                  {{"site", site}});
    }
    if (range.largest.isfinite().all().item<bool>()) continue;
    throw Error(ErrorKind::kMethod, fmt::format("activations at '{}' hold NaN or infinities", site),
                {{"site", site}});
  }
  return ranges_;
}

at::Tensor smoothing_factors(const models::Network& network, const models::ScaleGroup& group,
                             const at::Tensor& largest_inputs, double alpha) {
  at::Tensor weights;
  for (const std::string& layer : group.layers) {
    const at::Tensor largest = network.parameters().value(layer + ".weight").abs().amax(0);
    weights = weights.defined() ? at::maximum(weights, largest) : largest;
  }
  return (largest_inputs.pow(alpha) / weights.clamp_min(kSmallestFactor).pow(1 - alpha))
      .clamp_min(kSmallestFactor);
}

}  // namespace assay::quant
